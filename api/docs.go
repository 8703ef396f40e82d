package api

import (
	"errors"
	"net/http"

	"github.com/portico-id/portico/api/docs"
	"github.com/portico-id/portico/api/openapi"
)

// docsRoutes are the contract, for those who read it. They are there where the
// configuration has a page.
func (a *API) docsRoutes() []route {
	off := []code{openapi.ProblemCodeNotFound}
	return []route{
		{
			method: http.MethodGet, path: "/openapi.yaml", guard: anyone, knows: true, head: true, handle: a.getContract,
			answers: []int{http.StatusOK}, problems: off,
		},
		{
			method: http.MethodGet, path: docs.Root, guard: anyone, knows: true, head: true, handle: a.getDocs,
			answers: []int{http.StatusOK}, problems: off,
		},
		{
			method: http.MethodGet, path: docs.Root + "/{file}", guard: anyone, knows: true, head: true, handle: a.getDocsFile,
			answers: []int{http.StatusOK, http.StatusNotModified}, problems: off,
		},
	}
}

// publicRoutes is all that the API's listener has.
func (a *API) publicRoutes() []route {
	if a.config.Docs == nil {
		return a.routes()
	}
	return append(a.routes(), a.docsRoutes()...)
}

func (a *API) getContract(c *call) error { return a.config.Docs.Contract(c.w, c.r) }

func (a *API) getDocs(c *call) error { return a.config.Docs.Page(c.w, c.r) }

func (a *API) getDocsFile(c *call) error {
	err := a.config.Docs.Send(c.w, c.r, c.Param("file"))
	if errors.Is(err, docs.ErrNoFile) {
		return refuse(openapi.ProblemCodeNotFound)
	}
	return err
}
