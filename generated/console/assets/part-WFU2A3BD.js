var E={CHANGE_TYPE_CREATED:"created",CHANGE_TYPE_UPDATED:"changed",CHANGE_TYPE_DELETED:"deleted"};function n(e){return E[e??""]??""}export{n as a};
