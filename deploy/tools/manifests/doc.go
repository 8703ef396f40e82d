// Package manifests holds what deploys Portico against the schemas of what it is
// given to, without any of them running.
//
//	Kubernetes   builds the kustomizations and decodes each object strictly into
//	             the API's own types: an unknown kind, a misspelt or doubled
//	             field and a wrong type are errors; then what the types cannot
//	             say: selectors, ports, references, quotas of time, hardening
//	Compose      loads the file with the reference implementation, all profiles on
//
// It owns no manifest, and knows nothing of Portico's settings: a test of
// cmd/internal/program holds those against the program.
package manifests
