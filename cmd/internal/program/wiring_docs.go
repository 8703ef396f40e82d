package program

import (
	"github.com/portico-id/portico"
	"github.com/portico-id/portico/api"
	"github.com/portico-id/portico/api/docs"
)

// document gives the API the contract as a page, where the operator wants it.
func document(served *api.Config, config Config) error {
	if !config.Docs {
		return nil
	}
	page, err := docs.New(portico.Contract, config.PublicURL)
	served.Docs = page
	return err
}
