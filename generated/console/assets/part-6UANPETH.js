function e(n,r){return`${n.toLocaleString("en")} ${r}${n===1?"":"s"}`}function t(n,r){return n>r?`and ${(n-r).toLocaleString("en")} more`:""}export{e as a,t as b};
