package mail

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLocaleChoosesTheLanguage(t *testing.T) {
	t.Parallel()
	templates := DefaultTemplates()
	for _, tt := range []struct{ name, locale, want string }{
		{"the language itself", "de", "de"},
		{"a region of it", "fr-CA", "fr"},
		{"a region and a script", "es-Latn-419", "es"},
		{"spelt as Java does", "it_IT", "it"},
		{"in other case", "DE-at", "de"},
		{"a language that its speakers read", "gsw", "de"},
		{"no language", "", "en"},
		{"a language that we do not have", "ja", "en"},
		{"no tag", "no such thing!", "en"},
		{"far too long", strings.Repeat("de-", 5000) + "de", "en"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := templates.render(kindNotice, tt.locale, fields{App: "Example", Email: "ada@example.com", LoginURL: "https://example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if w.language != tt.want || !strings.Contains(w.html, `<html lang="`+tt.want+`">`) {
				t.Errorf("got %s, want %s", w.language, tt.want)
			}
		})
	}
}

func TestEveryLanguageSaysWhatMatters(t *testing.T) {
	t.Parallel()
	templates := DefaultTemplates()
	for _, lang := range []string{"en", "de", "fr", "es", "it"} {
		w, err := templates.render(kindNotice, lang, fields{
			App: "Example", Email: "ada@example.com", LoginURL: "https://app.example.com/login", Name: "canary",
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{w.text, w.html} {
			for _, said := range []string{"Example", "ada@example.com", "https://app.example.com/login"} {
				if !strings.Contains(part, said) {
					t.Errorf("%s does not say %q: %s", lang, said, part)
				}
			}
			if strings.Contains(part, "canary") {
				t.Errorf("%s names the user", lang)
			}
		}
		for _, remote := range []string{"<img", "<script", "<link", "url(", "@import", "src="} {
			if strings.Contains(w.html, remote) {
				t.Errorf("%s loads something: %s", lang, remote)
			}
		}
		if strings.Count(w.html, "http") != 1 {
			t.Errorf("%s links to more than the sign-in page", lang)
		}
	}
}

func TestLoadTemplatesReplacesFileByFile(t *testing.T) {
	t.Parallel()
	templates, err := LoadTemplates(fstest.MapFS{
		"layout.html.tmpl":           text(`<html lang="{{.Lang}}"><title>{{.Subject}}</title>brand{{template "content" .}}`),
		"notice.de.subject.tmpl":     text("Hallo{{with .Name}}, {{.}}{{end}}!\n"),
		"notice.pt-BR.subject.tmpl":  text("Você já tem uma conta"),
		"notice.pt-BR.txt.tmpl":      text("Entre: {{.LoginURL}}"),
		"notice.pt-BR.html.tmpl":     text(`<a href="{{.LoginURL}}">Entrar</a>`),
		"README.md":                  text("not a template"),
		"drafts/notice.xx.html.tmpl": text("{{"),
	})
	if err != nil {
		t.Fatal(err)
	}
	sample := fields{App: "Example", Email: "ada@example.com", LoginURL: "https://example.com/login", Name: "Ada"}
	german, err := templates.render(kindNotice, "de", sample)
	if err != nil {
		t.Fatal(err)
	}
	if german.subject != "Hallo, Ada!" || !strings.Contains(german.text, "Guten Tag") || !strings.Contains(german.html, "brand<p>Guten Tag") {
		t.Errorf("got %+v", german)
	}
	portuguese, err := templates.render(kindNotice, "pt", sample)
	if err != nil {
		t.Fatal(err)
	}
	if portuguese.language != "pt-BR" || portuguese.text != "Entre: https://example.com/login" {
		t.Errorf("got %+v", portuguese)
	}
}

func TestLoadTemplatesFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, content, says string }{
		{"a template that does not parse", "notice.en.txt.tmpl", "{{.App", "notice.en.txt.tmpl"},
		{"a field that there is not", "notice.en.subject.tmpl", "{{.Password}}", "Password"},
		{"a field that there is not, where there is a name", "notice.en.txt.tmpl", "x{{if .Name}}{{.Surname}}{{end}}", "Surname"},
		{"a field that there is not, where there is no name", "notice.en.html.tmpl", "x{{if not .Name}}{{.Surname}}{{end}}", "Surname"},
		{"a part that is not defined", "layout.html.tmpl", `{{template "body" .}}`, "body"},
		{"markup that cannot be escaped safely", "notice.en.html.tmpl", `<a href="{{if .Name}}"{{end}}>`, "notice.en.html.tmpl"},
		{"an empty subject", "notice.fr.subject.tmpl", " \n", "fr: the template left"},
		{"an empty text", "notice.fr.txt.tmpl", "{{.Name}}", "fr: the template left"},
		{"a part that never ends", "notice.fr.txt.tmpl", "{{range 100000000}}for ever and ever{{end}}", "too long"},
		{"a file that is too long", "notice.fr.txt.tmpl", strings.Repeat("long", maxTemplate), "notice.fr.txt.tmpl"},
		{"a misspelt name", "notce.en.txt.tmpl", "x", "notce.en.txt.tmpl"},
		{"a misspelt kind", "notice.en.text.tmpl", "x", "notice.en.text.tmpl"},
		{"a language that is none", "notice.klingon!.txt.tmpl", "x", "klingon"},
		{"a language in another spelling", "notice.EN.txt.tmpl", "x", "notice.EN.txt.tmpl"},
		{"a language that is not complete", "notice.nl.txt.tmpl", "x", "notice.nl.subject.tmpl is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadTemplates(fstest.MapFS{tt.file: text(tt.content)})
			if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want word of %q", err, tt.says)
			}
		})
	}
}

func TestLoadTemplatesSaysThatAFileCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := LoadTemplates(fstest.MapFS{"notice.en.txt.tmpl": {Mode: fs.ModeSymlink, Data: []byte("gone")}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func text(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
