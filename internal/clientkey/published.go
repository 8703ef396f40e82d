package clientkey

// published are the thumbprints (RFC 7638) of keys whose private halves are in
// every tutorial. One of them at a provider lets anyone be the client.
//
//nolint:gochecknoglobals // a table
var published = map[string]bool{
	"IsUn6_e04MaShXFIISMp4kG62LWzMIPy_MvSA5pJgX8": true, // RFC 7515, appendix A.2
	"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U": true, // RFC 7515, appendix A.3
	"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": true, // RFC 7517, appendix A.2, RSA
	"cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s": true, // RFC 7517, appendix A.2, EC
	"oGDmHqCJ7yzMkWEkrlZVHkvrHIyQwtlDmeq5ForUHeY": true, // jwt.io, RS256
	"19J8y7Zprt2-QKLjF2I5pVk0OELX6cY2AfaAv1LC_w8": true, // jwt.io, ES256
}
