package api

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portico-id/portico"
	"github.com/portico-id/portico/api/apitest"
	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/admintoken"
)

func TestContractAndCodeSayTheSame(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Load(portico.Contract)
	if err != nil {
		t.Fatal(err)
	}
	// The contract is the documentation: of fields and their bounds, of the ways
	// to sign in and what they demand, of who may call what, and of what an
	// answer holds.
	t.Run("ASVS-2.1.1 ASVS-6.1.3 ASVS-8.1.1 ASVS-14.2.6 ASVS-15.3.1 of every operation, field and problem", func(t *testing.T) {
		t.Parallel()
		for _, difference := range differences(contract.Doc, everyRoute(), kinds) {
			t.Error(difference)
		}
	})
}

// everyRoute is what both listeners have.
func everyRoute() []route {
	a := &API{}
	return slices.Concat(a.routes(), a.docsRoutes(), a.adminRoutes())
}

// differences says, in sentences, where the contract and the code part.
func differences(doc *openapi3.T, routes []route, kinds map[code]kind) []string {
	var d found
	d.operations(doc, routes)
	d.problems(doc, kinds)
	for name, model := range models() {
		d.model(name, doc.Components.Schemas[name], model)
	}
	return d
}

type found []string

func (d *found) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

// same compares two sets.
func same[T ~string](d *found, what string, contract, code []T) {
	for _, c := range contract {
		if !slices.Contains(code, c) {
			d.add("%s: the contract has %q, the code does not", what, c)
		}
	}
	for _, c := range code {
		if !slices.Contains(contract, c) {
			d.add("%s: the code has %q, the contract does not", what, c)
		}
	}
}

func (d *found) operations(doc *openapi3.T, routes []route) {
	var declared, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			declared = append(declared, method+" "+path)
		}
	}
	for _, r := range routes {
		name := r.method + " " + r.path
		routed = append(routed, name)
		if item := doc.Paths.Value(r.path); item != nil && item.GetOperation(r.method) != nil {
			d.operation(name, item.GetOperation(r.method), r)
			if forAdmins := r.guard == byAdminToken; forAdmins != (len(item.Servers) > 0) {
				d.add("%s: one side has it on the operations listener", name)
			}
		}
	}
	same(d, "operations", declared, routed)
}

// operation compares what one operation may answer.
func (d *found) operation(name string, operation *openapi3.Operation, r route) {
	if operation.OperationID == "" || operation.Summary == "" || len(operation.Tags) == 0 {
		d.add("%s: it has no operationId, no summary or no tag", name)
	}
	takesJSON := operation.RequestBody != nil && operation.RequestBody.Value.Content["application/json"] != nil
	if takesJSON != r.body {
		d.add("%s: one side takes a body", name)
	}
	if (operation.Security != nil) != (r.guard.needsSession() || r.guard == byAdminToken) {
		d.add("%s: one side asks for a session", name)
	}
	if scope := scopeOf(operation); scope != string(r.scope) {
		d.add("%s: the contract asks for the scope %q, the code for %q", name, scope, r.scope)
	}
	var declared, answered []string
	for status, response := range operation.Responses.Map() {
		declared = append(declared, status)
		d.response(name+" "+status, status, response.Value, r)
	}
	for _, status := range r.answers {
		answered = append(answered, strconv.Itoa(status))
	}
	for _, c := range r.codes() {
		if status := strconv.Itoa(kinds[c].status); !slices.Contains(answered, status) {
			answered = append(answered, status)
		}
	}
	same(d, name+": statuses", declared, answered)
}

// scopeOf is the scope that an operation asks of an administrator's token.
func scopeOf(operation *openapi3.Operation) string {
	if operation.Security == nil {
		return ""
	}
	var scopes []string
	for _, way := range *operation.Security {
		scopes = append(scopes, way["adminToken"]...)
	}
	return strings.Join(scopes, " ")
}

func (d *found) response(name, status string, response *openapi3.Response, r route) {
	if response.Headers["X-Request-Id"] == nil {
		d.add("%s: X-Request-Id is not declared", name)
	}
	for media, content := range response.Content {
		if len(content.Examples) == 0 {
			d.add("%s: it has no example", name)
		}
		if media != "application/problem+json" {
			continue
		}
		var answered []code
		for _, c := range r.codes() {
			if strconv.Itoa(kinds[c].status) == status && !slices.Contains(answered, c) {
				answered = append(answered, c)
			}
		}
		var declared []code
		for example := range content.Examples {
			declared = append(declared, code(example))
		}
		same(d, name+": codes", declared, answered)
	}
}

// problems compares the table of problems with the contract's list and with
// its examples.
func (d *found) problems(doc *openapi3.T, kinds map[code]kind) {
	var listed []code
	for _, value := range doc.Components.Schemas["ProblemCode"].Value.Enum {
		listed = append(listed, code(fmt.Sprint(value)))
	}
	same(d, "problem codes", listed, slices.Collect(maps.Keys(kinds)))
	for c, k := range kinds {
		example := doc.Components.Examples[string(c)]
		if example == nil {
			d.add("the code %s has no example", c)
			continue
		}
		value, ok := example.Value.Value.(map[string]any)
		if !ok {
			d.add("the example of %s is not an object", c)
			continue
		}
		detail, _ := value["detail"].(string)
		if value["code"] != string(c) || value["title"] != k.title || fmt.Sprint(value["status"]) != strconv.Itoa(k.status) ||
			detail != k.detail || value["type"] != "urn:portico:problem:"+string(c) {
			d.add("the example of %s is not what the code answers: %v", c, value)
		}
		if err := apitest.Fits(doc.Components.Schemas["Problem"], value); err != nil {
			d.add("the example of %s: %v", c, err)
		}
	}
}

// models has the Go type of every schema with fields.
func models() map[string]reflect.Type {
	return map[string]reflect.Type{
		"SignupRequest":           reflect.TypeFor[openapi.SignupRequest](),
		"SignupReceipt":           reflect.TypeFor[openapi.SignupReceipt](),
		"LoginRequest":            reflect.TypeFor[openapi.LoginRequest](),
		"LoginStarted":            reflect.TypeFor[openapi.LoginStarted](),
		"CallbackRequest":         reflect.TypeFor[openapi.CallbackRequest](),
		"CodeRequest":             reflect.TypeFor[openapi.CodeRequest](),
		"SessionList":             reflect.TypeFor[openapi.SessionList](),
		"User":                    reflect.TypeFor[openapi.User](),
		"Session":                 reflect.TypeFor[openapi.Session](),
		"Me":                      reflect.TypeFor[openapi.Me](),
		"SignedIn":                reflect.TypeFor[openapi.SignedIn](),
		"MeChange":                reflect.TypeFor[openapi.MeChange](),
		"AccountClosed":           reflect.TypeFor[openapi.AccountClosed](),
		"EmailRequest":            reflect.TypeFor[openapi.EmailRequest](),
		"EmailRequested":          reflect.TypeFor[openapi.EmailRequested](),
		"EmailConfirmation":       reflect.TypeFor[openapi.EmailConfirmation](),
		"AccountExport":           reflect.TypeFor[openapi.AccountExport](),
		"LoggedOut":               reflect.TypeFor[openapi.LoggedOut](),
		"Problem":                 reflect.TypeFor[openapi.Problem](),
		"FieldError":              reflect.TypeFor[openapi.FieldError](),
		"AdminUser":               reflect.TypeFor[openapi.AdminUser](),
		"AdminUserList":           reflect.TypeFor[openapi.AdminUserList](),
		"AdminUserCreate":         reflect.TypeFor[openapi.AdminUserCreate](),
		"AdminUserChange":         reflect.TypeFor[openapi.AdminUserChange](),
		"AdminResolution":         reflect.TypeFor[openapi.AdminResolution](),
		"AuditEvent":              reflect.TypeFor[openapi.AuditEvent](),
		"AuditList":               reflect.TypeFor[openapi.AuditList](),
		"Webhook":                 reflect.TypeFor[openapi.Webhook](),
		"WebhookList":             reflect.TypeFor[openapi.WebhookList](),
		"WebhookCreate":           reflect.TypeFor[openapi.WebhookCreate](),
		"WebhookChange":           reflect.TypeFor[openapi.WebhookChange](),
		"WebhookRotation":         reflect.TypeFor[openapi.WebhookRotation](),
		"WebhookWithSecret":       reflect.TypeFor[openapi.WebhookWithSecret](),
		"WebhookDelivery":         reflect.TypeFor[openapi.WebhookDelivery](),
		"WebhookDeliveryList":     reflect.TypeFor[openapi.WebhookDeliveryList](),
		"WebhookReplay":           reflect.TypeFor[openapi.WebhookReplay](),
		"WebhookReplayed":         reflect.TypeFor[openapi.WebhookReplayed](),
		"WebhookUserEvent":        reflect.TypeFor[openapi.WebhookUserEvent](),
		"WebhookUser":             reflect.TypeFor[openapi.WebhookUser](),
		"WebhookUserDeletedEvent": reflect.TypeFor[openapi.WebhookUserDeletedEvent](),
		"WebhookDeletedUser":      reflect.TypeFor[openapi.WebhookDeletedUser](),
		"WebhookTestEvent":        reflect.TypeFor[openapi.WebhookTestEvent](),
		"WebhookTestData":         reflect.TypeFor[openapi.WebhookTestData](),
	}
}

// model compares a schema's fields with those of the generated type, and the
// longest texts that both allow.
func (d *found) model(name string, schema *openapi3.SchemaRef, model reflect.Type) {
	if schema == nil {
		d.add("the contract has no schema %s", name)
		return
	}
	var fields, required []string
	for i := range model.NumField() {
		field, options, _ := strings.Cut(model.Field(i).Tag.Get("json"), ",")
		fields = append(fields, field)
		if options == "" {
			required = append(required, field)
		}
		property := schema.Value.Properties[field]
		checks := model.Field(i).Tag.Get("validate")
		if property == nil || checks == "" {
			continue
		}
		longest := property.Value.MaxLength
		if longest != nil && !slices.Contains(strings.Split(checks, ","), fmt.Sprintf("max=%d", *longest)) {
			d.add("%s.%s: the code checks %q, the contract allows %d characters", name, field, checks, *longest)
		}
	}
	same(d, name+": fields", slices.Collect(maps.Keys(schema.Value.Properties)), fields)
	same(d, name+": required fields", schema.Value.Required, required)
	if open := schema.Value.AdditionalProperties.Has; open == nil || *open {
		d.add("%s: the contract lets other fields pass", name)
	}
}

func TestEverySchemaWithFieldsIsCompared(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Shared()
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range contract.Doc.Components.Schemas {
		// A form is read by hand, since there is one.
		if _, ok := models()[name]; !ok && schema.Value.Type.Is(openapi3.TypeObject) && name != "LogoutNotice" {
			t.Errorf("the schema %s is compared with nothing", name)
		}
	}
}

func TestAContractThatDiffersIsNoticed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		mutate func(doc *openapi3.T)
		says   string
	}{
		{"an operation that nobody serves", func(doc *openapi3.T) {
			doc.Paths.Set("/teapot", &openapi3.PathItem{Get: openapi3.NewOperation()})
		}, `the contract has "GET /teapot"`},
		{"a route that is not in the contract", func(doc *openapi3.T) {
			doc.Paths.Value("/login").Get = nil
		}, `the code has "GET /login"`},
		{"a status of success that changed", func(doc *openapi3.T) {
			responses := doc.Paths.Value("/signup").Post.Responses
			responses.Set("201", responses.Value("202"))
			responses.Delete("202")
		}, `POST /signup: statuses: the contract has "201"`},
		{"a status that was removed", func(doc *openapi3.T) {
			doc.Paths.Value("/me").Get.Responses.Delete("403")
		}, `GET /me: statuses: the code has "403"`},
		{"a code that was added to an operation", func(doc *openapi3.T) {
			content := doc.Paths.Value("/callback").Get.Responses.Value("400").Value.Content["application/problem+json"]
			content.Examples["flow_used"] = doc.Components.Examples["flow_used"]
		}, `GET /callback 400: codes: the contract has "flow_used"`},
		{"a code that was removed from an operation", func(doc *openapi3.T) {
			content := doc.Paths.Value("/callback").Post.Responses.Value("502").Value.Content["application/problem+json"]
			delete(content.Examples, "provider_error")
		}, `POST /callback 502: codes: the code has "provider_error"`},
		{"a code that was added to the list", func(doc *openapi3.T) {
			list := doc.Components.Schemas["ProblemCode"].Value
			list.Enum = append(list.Enum, "teapot")
		}, `problem codes: the contract has "teapot"`},
		{"a title that changed", func(doc *openapi3.T) {
			value, _ := doc.Components.Examples["flow_used"].Value.Value.(map[string]any)
			value["title"] = "Too late"
		}, "the example of flow_used"},
		{"a field that was renamed", func(doc *openapi3.T) {
			properties := doc.Components.Schemas["SignupRequest"].Value.Properties
			properties["mail"] = properties["email"]
			delete(properties, "email")
		}, `SignupRequest: fields: the contract has "mail"`},
		{"a field that became optional", func(doc *openapi3.T) {
			doc.Components.Schemas["Me"].Value.Required = []string{"id"}
		}, `Me: required fields: the code has "email"`},
		{"a bound that moved", func(doc *openapi3.T) {
			doc.Components.Schemas["SignupRequest"].Value.Properties["display_name"].Value.MaxLength = new(uint64(1000))
		}, "SignupRequest.display_name"},
		{"a schema that was opened", func(doc *openapi3.T) {
			doc.Components.Schemas["User"].Value.AdditionalProperties = openapi3.BoolSchema{}
		}, "User: the contract lets other fields pass"},
		{"an operation that lost its summary", func(doc *openapi3.T) {
			doc.Paths.Value("/me").Get.Summary = ""
		}, "GET /me: it has no operationId"},
		{"a route that was opened to everybody", func(doc *openapi3.T) {
			doc.Paths.Value("/logout").Post.Security = nil
		}, "POST /logout: one side asks for a session"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			doc, err := openapi3.NewLoader().LoadFromData(portico.Contract)
			if err != nil {
				t.Fatal(err)
			}
			test.mutate(doc)
			all := differences(doc, everyRoute(), kinds)
			if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, test.says) }) {
				t.Errorf("nothing says %q, but %q", test.says, all)
			}
		})
	}
}

func TestABrokenExampleMakesTheContractInvalid(t *testing.T) {
	t.Parallel()
	broken := strings.Replace(string(portico.Contract), "email: ada@example.com,", "mail: ada@example.com,", 1)
	if broken == string(portico.Contract) {
		t.Fatal("nothing was broken")
	}
	if _, err := apitest.Load([]byte(broken)); err == nil {
		t.Error("an example that does not fit its schema was accepted")
	}
}

// TestBBA14_ASVS_6_3_4_RoutesAreOnlyThese is the list of ways in (ASVS 6.3.4): a new one is a
// decision, and changes this line too.
func TestBBA14_ASVS_6_3_4_RoutesAreOnlyThese(t *testing.T) {
	t.Parallel()
	named := func(all []route) (names []string) {
		for _, r := range all {
			names = append(names, r.method+" "+r.path)
		}
		return names
	}
	want := []string{
		"POST /signup", "GET /signup/{signup_id}", "POST /signup/{signup_id}/resend", "GET /login", "POST /login",
		"GET /callback", "POST /callback", "POST /sessions", "GET /me", "GET /me/sessions", "DELETE /me/sessions",
		"DELETE /me/sessions/{session_id}",
		"PATCH /me", "DELETE /me", "POST /me/email", "POST /me/email/confirm", "GET /me/export", "POST /logout", "GET /logout/callback", "POST /backchannel-logout",
	}
	if routes := named((&API{}).routes()); !slices.Equal(routes, want) {
		t.Errorf("routes are %q", routes)
	}
	want = []string{"GET /openapi.yaml", "GET /docs", "GET /docs/{file}"}
	if routes := named((&API{}).docsRoutes()); !slices.Equal(routes, want) {
		t.Errorf("routes of the contract itself are %q", routes)
	}
	want = []string{
		"GET /admin/users", "POST /admin/users", "GET /admin/users/{user_id}", "PATCH /admin/users/{user_id}", "DELETE /admin/users/{user_id}",
		"POST /admin/users/{user_id}/suspend", "POST /admin/users/{user_id}/restore", "POST /admin/users/{user_id}/resend",
		"POST /admin/users/{user_id}/retry", "POST /admin/users/{user_id}/resolve", "GET /admin/users/{user_id}/sessions",
		"DELETE /admin/users/{user_id}/sessions", "DELETE /admin/users/{user_id}/sessions/{session_id}", "GET /admin/audit",
		"GET /admin/webhooks", "POST /admin/webhooks", "GET /admin/webhooks/{webhook_id}", "PATCH /admin/webhooks/{webhook_id}",
		"DELETE /admin/webhooks/{webhook_id}", "POST /admin/webhooks/{webhook_id}/rotate-secret", "POST /admin/webhooks/{webhook_id}/test",
		"GET /admin/webhooks/{webhook_id}/deliveries", "POST /admin/webhooks/{webhook_id}/replay",
		"POST /admin/webhook-deliveries/{delivery_id}/replay",
	}
	if routes := named((&API{}).adminRoutes()); !slices.Equal(routes, want) {
		t.Errorf("administrators' routes are %q", routes)
	}
	for _, r := range (&API{}).adminRoutes() {
		if r.guard != byAdminToken || !slices.Contains(admintoken.Scopes(), r.scope) || !strings.HasPrefix(r.path, "/admin/") {
			t.Errorf("%s %s is among administrators' routes, and its guard is %d with the scope %q", r.method, r.path, r.guard, r.scope)
		}
	}
	for _, r := range (&API{}).routes() {
		if r.guard == byAdminToken || r.scope != "" || strings.HasPrefix(r.path, "/admin") {
			t.Errorf("%s %s is for administrators, and on the public address", r.method, r.path)
		}
	}
}
