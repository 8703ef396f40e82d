package mail

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// filled are fields as letters of the kind have them.
func filled(k kind) fields {
	f := fields{App: "Example", Email: "ada@example.com", LoginURL: "https://app.example.com/login"}
	if k == kindProof {
		f.Code = "7XK2M-9QD4T"
	}
	if k == kindProof || k == kindClosing {
		f.Until = "2026-03-04 12:00 UTC"
	}
	return f
}

func TestASVS_6_3_7_EveryLetterIsThereInEveryLanguage(t *testing.T) {
	t.Parallel()
	templates := DefaultTemplates()
	for _, k := range kinds() {
		for _, lang := range []string{"en", "de", "fr", "es", "it"} {
			f := filled(k)
			w, err := templates.render(k, lang, f)
			if err != nil {
				t.Fatal(err)
			}
			if w.language != lang || !strings.Contains(w.html, `<html lang="`+lang+`">`) {
				t.Errorf("%s in %s is in %s", k, lang, w.language)
			}
			said := []string{f.App, f.Email, f.Code, f.Until}
			links := 0
			if k == kindNotice || k == kindChanged {
				said, links = append(said, f.LoginURL), 1
			}
			for _, part := range []string{w.text, w.html} {
				for _, what := range said {
					if !strings.Contains(part, what) {
						t.Errorf("%s in %s does not say %q: %s", k, lang, what, part)
					}
				}
				// A letter with a code has no link: a reader learns not to click.
				if n := strings.Count(part, "http"); n != links {
					t.Errorf("%s in %s has %d links, not %d", k, lang, n, links)
				}
			}
			if strings.Contains(w.subject, "7XK2M") {
				t.Errorf("%s in %s shows the code to whoever sees the locked screen", k, lang)
			}
		}
	}
}

func TestLettersOfAnAccount(t *testing.T) {
	t.Parallel()
	m := newMailer(t, "smtp://localhost", nil)
	until := time.Date(2026, 3, 4, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	ids := make(map[string]bool)
	for name, msg := range map[string]message{
		"a proof":   {kind: kindProof, id: "1", to: "ada@example.com", locale: "de", fields: fields{Code: "7XK2M-9QD4T", Until: stamp(until)}},
		"a change":  {kind: kindChanged, id: "1", to: "ada@example.com", locale: "de"},
		"a closing": {kind: kindClosing, id: "1", to: "ada@example.com", locale: "de", fields: fields{Until: stamp(until)}},
		"a notice":  Notice{ID: "1", To: "ada@example.com", Locale: "de"}.message(),
	} {
		l, err := m.write(msg)
		if err != nil {
			t.Fatal(err)
		}
		headers, bodies := read(t, l.data)
		ids[headers.Get("Message-Id")] = true
		for _, body := range bodies {
			if !strings.Contains(body, msg.fields.Code) || msg.fields.Until != "" && !strings.Contains(body, "2026-03-04 12:00 UTC") {
				t.Errorf("%s says %s", name, body)
			}
		}
	}
	if len(ids) != 4 {
		t.Errorf("letters of different kinds about one thing have %d ids, not 4", len(ids))
	}
}

func TestLoadTemplatesFindsWhatIsBrokenInAnyLetter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, content, says string }{
		{"a proof without its code", "email_proof.en.txt.tmpl", "Hello {{.Email}}", "the code is not in both"},
		{"a field that there is not", "closing.de.html.tmpl", "{{.After}}", "After"},
		{"a language that is not complete", "email_changed.nl.txt.tmpl", "x", "email_changed.nl.subject.tmpl is missing"},
		{"a kind that is none", "email.en.txt.tmpl", "x", "email.en.txt.tmpl"},
		{"a kind and no language", "closing.txt.tmpl", "x", "closing.txt.tmpl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadTemplates(fstest.MapFS{tt.file: text(tt.content)})
			if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want word of %q", err, tt.says)
			}
		})
	}
	replaced, err := LoadTemplates(fstest.MapFS{"closing.de.subject.tmpl": text("Auf Wiedersehen")})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := replaced.render(kindClosing, "de-AT", filled(kindClosing)); err != nil || w.subject != "Auf Wiedersehen" {
		t.Errorf("got %+v, %v", w, err)
	}
}
