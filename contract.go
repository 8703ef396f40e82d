// Package portico holds the contract, openapi.yaml, for those who serve it or
// hold answers against it. Everything else is in the folders beside it: cmd
// has the programs, api has HTTP, internal has the domain and its adapters.
package portico

import _ "embed"

// Contract is openapi.yaml.
//
//go:embed openapi.yaml
var Contract []byte
