function t(n,r){return`${n.toLocaleString("en")} ${r}${n===1?"":"s"}`}export{t as a};
