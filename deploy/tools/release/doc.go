// Command release puts what a release consists of into a folder: of each static
// binary an archive and a software bill of materials, and checksums of all.
//
//	portico_VERSION_linux_ARCH.tar.gz    portico, LICENSE, guides, and what deploys it
//	portico_VERSION_linux_ARCH.cdx.json  CycloneDX 1.6: what the binary says it is made of
//	SHA256SUMS
//
// The same binaries give the same bytes: entries are in order and owned by
// nobody in particular, and every time is the one that is given, the commit's.
// It builds nothing; the Makefile does.
package main
