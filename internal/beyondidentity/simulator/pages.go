package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"time"
)

// style is inline: the pages load nothing, and the policy names its hash.
const style = `:root{color-scheme:light dark;--line:#8884;--accent:#2456c7}
@media(prefers-color-scheme:dark){:root{--accent:#8fb1ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}
p{margin:0 0 1rem}
a{color:var(--accent)}
ul{list-style:none;margin:0 0 1rem;padding:0}
li{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;margin:0 0 .6rem;overflow-wrap:anywhere}
small{display:block;opacity:.75}
pre{font:inherit;white-space:pre-wrap;margin:.5rem 0 0}
button{font:inherit;font-weight:600;width:100%;padding:.8rem;border:0;border-radius:.6rem;background:#2456c7;color:#fff;cursor:pointer}
footer{margin-top:2.5rem;font-size:.85rem;opacity:.7}`

// templates has one template for each page, and the two that frame them.
const templates = `
{{define "head"}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.}}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="data:,"><style>{{style}}</style></head><body><main><h1>{{.}}</h1>{{end}}

{{define "foot"}}</main><footer>Simulator of Beyond Identity. Nothing here is real, and nothing is kept.</footer></body></html>
{{end}}

{{define "refused"}}{{template "head" "That did not work"}}<p>{{.}}</p>{{template "foot"}}{{end}}

{{define "no-passkey"}}{{template "head" "No passkey in this browser"}}
<p>Open the link in your enrolment mail with this browser, register a passkey, and sign in again.</p>
<p><a href="/mailbox">Open the mailbox</a></p>{{template "foot"}}{{end}}

{{define "choose"}}{{template "head" "Choose a user"}}
<p>This browser has passkeys of several users.</p>
<ul>{{range .}}<li><a href="{{.URL}}">{{.Name}}</a><small>{{.Email}}</small></li>{{end}}</ul>{{template "foot"}}{{end}}

{{define "enrol"}}{{template "head" "Register your passkey"}}
<p>For {{if ne .Name .Email}}{{.Name}}, {{end}}{{.Email}}. It stays in this browser, and you will sign in with it from now on.</p>
<form method="post"><button type="submit">Register passkey</button></form>{{template "foot"}}{{end}}

{{define "mailbox"}}{{template "head" "Mailbox"}}
{{if .}}<ul>{{range .}}<li>{{if .Link}}<a href="{{.Link}}">{{.Subject}}</a>{{else}}{{.Subject}}{{end}}
<small>{{with .From}}from {{.}} {{end}}to {{.To}}, {{when .SentAt}}</small>
{{if .From}}<details><summary>Read</summary><pre>{{.Text}}</pre></details>{{end}}
{{if .HTML}}<small><a href="/mailbox/{{.ID}}">as HTML</a></small>{{end}}</li>{{end}}</ul>
{{else}}<p>No mail yet. Sign up in the app, then reload.</p>{{end}}{{template "foot"}}{{end}}

{{define "index"}}{{template "head" "Simulator of Beyond Identity"}}<ul>
<li><a href="/mailbox">Mailbox</a><small>all mails, newest first; as JSON: <a href="/sim/mailbox">/sim/mailbox</a></small></li>
<li><a href="/sim/users">Users</a><small>who was created here, and how often</small></li>
<li><a href="/sim/requests">Requests</a><small>management and provider calls</small></li>
<li><a href="/sim/ledger">Ledger</a><small>what really happened, whatever was answered</small></li>
<li><a href="/sim/faults">Faults</a>, <a href="/sim/hostility">hostility</a> and <a href="/sim/modes">modes</a><small>what goes wrong on purpose</small></li>
<li><a href="{{.}}">Discovery</a><small>the OpenID provider</small></li>
</ul>{{template "foot"}}{{end}}
`

// pages are what a person sees.
type pages struct {
	templates *template.Template
	policy    string
}

func newPages() (*pages, error) {
	parsed, err := template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return style },
		"when":  func(t time.Time) string { return t.Format(time.RFC3339) },
	}).Parse(templates)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(style))
	return &pages{
		templates: parsed,
		// There is no form-action: browsers hold it against every redirect that
		// follows a posted form, and enrolment ends at the app by such redirects.
		policy: "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; frame-ancestors 'none'",
	}, nil
}

// page renders whole before it writes, so that a fault in a template is a 500.
func (s *Simulator) page(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := s.pages.templates.ExecuteTemplate(&out, name, data); err != nil {
		s.log.Error("render page", "page", name, "error", err)
		http.Error(w, "cannot render the page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.pages.policy)
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the browser may have gone
}

func (s *Simulator) showIndex(w http.ResponseWriter, _ *http.Request) {
	s.page(w, http.StatusOK, "index", issuerPath+discoveryPath)
}

func (s *Simulator) showNotFound(w http.ResponseWriter, _ *http.Request) {
	s.page(w, http.StatusNotFound, "refused", "There is no such page.")
}
