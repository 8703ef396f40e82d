// Package admintoken knows who administers: the holders of tokens that the
// operator has named, with what each may do.
//
// A token is pta_ and the base64url text of 32 random bytes. It is shown once,
// by [New]; kept is an entry, which opens nothing:
//
//	NAME SCOPE[,SCOPE…] sha256:HEX     of the 32 bytes; entries apart by ";"
//
//	users:read      find users, and see where they are signed in
//	users:write     make, change, suspend, restore and delete them
//	sessions:write  end their sessions
//	audit:read      who did what
//	webhooks:read   where events go, and whether they arrived
//	webhooks:write  have them go elsewhere, or again
//
// It refuses to own what a scope opens (package api) and where the entries come
// from (cmd). Package keyring judges random bytes in a similar way.
package admintoken
