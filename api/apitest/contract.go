package apitest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// Contract is the document that answers are held against. It is safe for
// concurrent use.
type Contract struct {
	Doc *openapi3.T
	// Ops is for answers of the operations listener. It has the paths that name
	// a server of their own, and the public address has the others.
	Ops bool
}

// Load reads a contract. It returns an error when the document is not a valid
// OpenAPI description, its examples included.
func Load(raw []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	return &Contract{Doc: doc}, nil
}

func onceContract(raw []byte) func() (*Contract, error) {
	return sync.OnceValues(func() (*Contract, error) { return Load(raw) })
}

// Fits reports how value, as encoding/json decodes it, differs from schema.
func Fits(schema *openapi3.SchemaRef, value any) error {
	return schema.Value.VisitJSON(value,
		openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation(), openapi3.MultiErrors())
}

// find returns the listener's path item for an escaped path, or nil.
func (c *Contract) find(path string) *openapi3.PathItem {
	item := c.Doc.Paths.Value(path)
	for template, other := range c.Doc.Paths.Map() {
		if item == nil && strings.Contains(template, "{") && matches(template, path) {
			item = other
		}
	}
	if item == nil || (len(item.Servers) > 0) != c.Ops {
		return nil
	}
	return item
}

// matches reports whether the path fits the template: segment by segment, and
// a parameter takes anything but nothing.
func matches(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(want, have string) bool {
		if strings.HasPrefix(want, "{") {
			return have != ""
		}
		return want == have
	})
}

// Check returns what is wrong with the answer to a request, in sentences.
func (c *Contract) Check(r *http.Request, response *http.Response, body []byte) []string {
	var found complaints
	found.headers(response)
	found.cookies(response, r.URL.Scheme == "https")
	if r.Method == http.MethodOptions {
		found.preflight(response, body)
		return found
	}
	item := c.find(r.URL.EscapedPath())
	if item == nil {
		found.refusal(r, response, body, http.StatusNotFound, "not_found")
		return found
	}
	operation := item.GetOperation(strings.ToUpper(r.Method))
	if r.Method != strings.ToUpper(r.Method) || operation == nil {
		found.refusal(r, response, body, http.StatusMethodNotAllowed, "method_not_allowed")
		found.allow(item, response)
		return found
	}
	found.declared(r, operation, response, body)
	return found
}
