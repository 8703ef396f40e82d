package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// The two media types of what programs read, as they are sent.
const (
	jsonType    = "application/json; charset=utf-8"
	problemType = "application/problem+json"
)

// complaints are what is wrong with one answer.
type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// declared checks the answer of an operation that the contract has.
func (c *complaints) declared(r *http.Request, operation *openapi3.Operation, response *http.Response, body []byte) {
	declared := operation.Responses.Status(response.StatusCode)
	if declared == nil || declared.Value == nil {
		c.add("the contract does not have this status for %s", operation.OperationID)
		return
	}
	for name, header := range declared.Value.Headers {
		c.header(name, header.Value, response)
	}
	if len(declared.Value.Content) == 0 {
		c.empty(response, body)
		return
	}
	media := mediaOf(response)
	content := declared.Value.Content[media]
	if content == nil {
		c.add("the contract does not have the media type %q for this status", media)
		return
	}
	if media != problemType && !strings.HasPrefix(jsonType, media) { // a document for people
		if len(body) == 0 {
			c.add("the document is empty")
		}
		return
	}
	value, ok := c.object(body)
	if !ok {
		return
	}
	if err := Fits(content.Schema, value); err != nil {
		c.add("the body does not fit its schema: %v", err)
	}
	c.times(value)
	if media == problemType {
		c.problem(r, response, value)
		c.documented(content, value)
	} else if got := response.Header.Get("Content-Type"); got != jsonType {
		c.add("Content-Type is %q, not %q", got, jsonType)
	}
}

// documented checks a problem against the contract's example of it.
func (c *complaints) documented(content *openapi3.MediaType, value map[string]any) {
	if example := content.Examples[text(value["code"])]; example == nil {
		c.add("the code %q is not among the contract's for this operation and status", value["code"])
	} else if documented, ok := example.Value.Value.(map[string]any); ok && documented["title"] != value["title"] {
		c.add("title is %q, not %q as in the contract", value["title"], documented["title"])
	}
}

// header checks one declared header.
func (c *complaints) header(name string, header *openapi3.Header, response *http.Response) {
	values := response.Header.Values(name)
	if len(values) == 0 {
		if header.Required {
			c.add("the header %s is missing", name)
		}
		return
	}
	for _, value := range values {
		var typed any = value
		if header.Schema.Value.Type.Is(openapi3.TypeInteger) {
			number, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				c.add("the header %s is no integer", name)
				continue
			}
			typed = float64(number)
		}
		if err := Fits(header.Schema, typed); err != nil {
			c.add("the header %s does not fit its schema: %v", name, err)
		}
	}
	if name == "Location" {
		if _, err := url.Parse(values[0]); err != nil || len(values) != 1 {
			c.add("Location is not one URL")
		}
	}
}

// refusal checks the answer to a request that fits no operation.
func (c *complaints) refusal(r *http.Request, response *http.Response, body []byte, status int, code string) {
	if response.StatusCode != status {
		c.add("status is not %d, although the contract has no such operation", status)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	if media := mediaOf(response); media != problemType {
		c.add("Content-Type is %q, not %q", media, problemType)
	}
	if value, ok := c.object(body); ok {
		c.problem(r, response, value)
		if text(value["code"]) != code {
			c.add("code is %q, not %q", value["code"], code)
		}
	}
}

// allow checks that Allow names the operations there are, and nothing else
// but OPTIONS and, beside GET, HEAD (RFC 9110 §10.2.1).
func (c *complaints) allow(item *openapi3.PathItem, response *http.Response) {
	var allowed []string
	for method := range strings.SplitSeq(response.Header.Get("Allow"), ",") {
		method = strings.TrimSpace(method)
		if method == http.MethodOptions || method == http.MethodHead && item.Head == nil && item.Get != nil {
			continue
		}
		allowed = append(allowed, method)
	}
	var declared []string
	for method := range item.Operations() {
		declared = append(declared, method)
	}
	slices.Sort(allowed)
	slices.Sort(declared)
	if !slices.Equal(allowed, declared) {
		c.add("Allow is %q, but the contract has %q", allowed, declared)
	}
}

// problem checks what is the same about every problem document (RFC 9457 §3.1).
func (c *complaints) problem(r *http.Request, response *http.Response, value map[string]any) {
	for name, want := range map[string]any{
		"status":     float64(response.StatusCode),
		"type":       "urn:portico:problem:" + text(value["code"]),
		"request_id": response.Header.Get("X-Request-Id"),
		"instance":   r.URL.EscapedPath(),
	} {
		if value[name] != want {
			c.add("the problem's %s is %v, not %v", name, value[name], want)
		}
	}
}

// preflight checks an answer to OPTIONS: a status and headers, nothing else.
func (c *complaints) preflight(response *http.Response, body []byte) {
	if response.StatusCode != http.StatusNoContent {
		c.add("OPTIONS is not answered with 204")
	}
	c.empty(response, body)
}

func (c *complaints) empty(response *http.Response, body []byte) {
	if len(body) > 0 || response.Header.Get("Content-Type") != "" {
		c.add("there is a body where the contract has none")
	}
}

// object decodes a body that must be exactly one JSON object.
func (c *complaints) object(body []byte) (map[string]any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	var value map[string]any
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		c.add("the body is not one JSON object")
		return nil, false
	}
	return value, true
}

// times checks that what is called a time is one, in UTC.
func (c *complaints) times(value map[string]any) {
	for name, field := range value {
		if nested, ok := field.(map[string]any); ok {
			c.times(nested)
		}
		if !strings.HasSuffix(name, "_at") && name != "resend_after" || field == nil {
			continue // what is null where it may not be does not fit its schema
		}
		written := text(field)
		if _, err := time.Parse(time.RFC3339Nano, written); err != nil || !strings.HasSuffix(written, "Z") {
			c.add("%s is %q, which is no time of RFC 3339 in UTC", name, written)
		}
	}
}

func mediaOf(response *http.Response) string {
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	return media
}

func text(value any) string {
	s, _ := value.(string)
	return s
}
