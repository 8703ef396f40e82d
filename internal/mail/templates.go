package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"

	"golang.org/x/text/language"
)

// What the names of template files are made of; see the package comment.
const (
	layoutFile    = "layout.html.tmpl"
	subjectSuffix = ".subject.tmpl"
	textSuffix    = ".txt.tmpl"
	htmlSuffix    = ".html.tmpl"
	anyTemplate   = ".tmpl"
)

const (
	maxTemplate = 64 << 10 // bytes of a template file
	maxPart     = 256 << 10
	maxSubject  = 200 // characters, so that no header line comes near RFC 5322's 998
	maxLocale   = 35  // characters that any language tag fits in (RFC 5646 §4.4.1)
)

// ErrTemplate is returned by LoadTemplates, wrapped with the file and the
// reason.
var ErrTemplate = errors.New("unusable mail template")

//go:embed templates/*.tmpl
var builtIn embed.FS

// kind is what a letter is about, as the names of its templates begin.
type kind string

// The kinds of letters.
const (
	kindNotice  kind = "notice"
	kindProof   kind = "email_proof"
	kindChanged kind = "email_changed"
	kindClosing kind = "closing"
)

func kinds() []kind { return []kind{kindNotice, kindProof, kindChanged, kindClosing} }

// Templates is the wording of letters, in some languages each. It is immutable
// and safe for concurrent use.
type Templates struct {
	letters map[kind]*translations
}

// translations are the wording of one kind of letter.
type translations struct {
	tags     []language.Tag // English first: what does not match falls back to it
	wordings []templates    // by the same index
	matcher  language.Matcher
}

// templates are the wording in one language.
type templates struct {
	subject *texttemplate.Template
	text    *texttemplate.Template
	html    *htmltemplate.Template
}

// fields is what templates see.
type fields struct {
	App      string
	LoginURL string
	Email    string
	Name     string // may be empty
	Code     string // in email_proof only
	Until    string // in email_proof and closing only: a time in UTC
	Lang     string // of the template, not of the reader
	Subject  string // in the layout only
}

// wording is a letter's content.
type wording struct {
	language string
	subject  string
	text     string
	html     string
}

// DefaultTemplates returns the wording that is built in.
func DefaultTemplates() *Templates {
	t, err := LoadTemplates(nil)
	if err != nil {
		panic(err) // a mistake in this package, which its first test finds
	}
	return t
}

// LoadTemplates returns the wording that is built in, with the files of
// replacements in place of those of the same name, and with the languages that
// only replacements has. It looks at the names that end in .tmpl, in no
// folder below. Each template is executed with and without a name. It returns
// ErrTemplate for a file of a name that means nothing, a language without all
// of its three files, a template that does not parse, names an unknown field,
// or leaves its part empty; and the error of reading a file.
func LoadTemplates(replacements fs.FS) (*Templates, error) {
	inside, err := fs.Sub(builtIn, "templates")
	if err != nil {
		return nil, err
	}
	files, err := readTemplates(inside)
	if err != nil {
		return nil, err
	}
	if replacements != nil {
		replaced, err := readTemplates(replacements)
		if err != nil {
			return nil, err
		}
		maps.Copy(files, replaced)
	}
	t := &Templates{letters: make(map[kind]*translations)}
	for _, k := range kinds() {
		if t.letters[k], err = translate(files, k); err != nil {
			return nil, err
		}
	}
	for name := range files {
		if name != layoutFile && !slices.ContainsFunc(kinds(), func(k kind) bool { return k.names(name) }) {
			return nil, noTemplate(name)
		}
	}
	if err := t.try(); err != nil {
		return nil, err
	}
	return t, nil
}

// readTemplates returns the template files of a folder, by name.
func readTemplates(folder fs.FS) (map[string]string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("mail: templates: %w", err)
	}
	files := make(map[string]string)
	for _, entry := range entries {
		if entry.IsDir() || !strings.HasSuffix(entry.Name(), anyTemplate) {
			continue
		}
		content, err := readBounded(folder, entry.Name())
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = content
	}
	return files, nil
}

func readBounded(folder fs.FS, name string) (string, error) {
	f, err := folder.Open(name)
	if err != nil {
		return "", fmt.Errorf("mail: templates: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return "", fmt.Errorf("mail: templates: %w", err)
	}
	if len(content) > maxTemplate {
		return "", fmt.Errorf("%w: %s is longer than %d bytes", ErrTemplate, name, maxTemplate)
	}
	return string(content), nil
}

// names reports whether the file belongs to letters of the kind.
func (k kind) names(file string) bool { return strings.HasPrefix(file, string(k)+".") }

func noTemplate(name string) error {
	return fmt.Errorf("%w: %q is the name of no template", ErrTemplate, name)
}

// translate reads the files of one kind of letter.
func translate(files map[string]string, k kind) (*translations, error) {
	tags, err := languages(files, k)
	if err != nil {
		return nil, err
	}
	t := &translations{tags: tags, matcher: language.NewMatcher(tags)}
	for _, tag := range tags {
		w, err := parse(files, string(k)+"."+tag.String())
		if err != nil {
			return nil, err
		}
		t.wordings = append(t.wordings, w)
	}
	return t, nil
}

// languages returns the languages that files of the kind are there for, English
// first.
func languages(files map[string]string, k kind) ([]language.Tag, error) {
	found := make(map[language.Tag]bool)
	for name := range files {
		if !k.names(name) {
			continue
		}
		tag, err := languageOf(name, k)
		if err != nil {
			return nil, err
		}
		found[tag] = true
	}
	delete(found, language.English)
	others := slices.SortedFunc(maps.Keys(found), func(a, b language.Tag) int { return strings.Compare(a.String(), b.String()) })
	return append([]language.Tag{language.English}, others...), nil
}

// languageOf reads a file's name. A misspelt one would leave the operator with
// our wording and no word of why, so it is an error.
func languageOf(name string, k kind) (language.Tag, error) {
	rest := strings.TrimPrefix(name, string(k)+".")
	for _, suffix := range []string{subjectSuffix, textSuffix, htmlSuffix} {
		spelt, found := strings.CutSuffix(rest, suffix)
		if !found {
			continue
		}
		tag, err := language.Parse(spelt)
		if err != nil || tag.String() != spelt {
			return language.Tag{}, fmt.Errorf("%w: %q: the language is not a tag in its canonical spelling", ErrTemplate, name)
		}
		return tag, nil
	}
	return language.Tag{}, noTemplate(name)
}

// parse reads the three files of a kind in a language, whose names begin so.
func parse(files map[string]string, name string) (templates, error) {
	for _, suffix := range []string{subjectSuffix, textSuffix, htmlSuffix} {
		if _, ok := files[name+suffix]; !ok {
			return templates{}, fmt.Errorf("%w: %s is missing", ErrTemplate, name+suffix)
		}
	}
	var n templates
	var err error
	if n.subject, err = texttemplate.New(name + subjectSuffix).Parse(files[name+subjectSuffix]); err != nil {
		return templates{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if n.text, err = texttemplate.New(name + textSuffix).Parse(files[name+textSuffix]); err != nil {
		return templates{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if n.html, err = htmltemplate.New(layoutFile).Parse(files[layoutFile]); err != nil {
		return templates{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	// Parsed under the file's name, which its errors then hold.
	content, err := htmltemplate.New(name + htmlSuffix).Parse(files[name+htmlSuffix])
	if err != nil {
		return templates{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if _, err := n.html.AddParseTree("content", content.Tree); err != nil {
		return templates{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return n, nil
}

// try executes every template, so that none fails with a letter in hand.
func (t *Templates) try() error {
	for k, translated := range t.letters {
		for _, name := range []string{"", "Ada Lovelace"} {
			sample := fields{
				App:      "Example",
				LoginURL: "https://app.example.com/login",
				Email:    "ada@example.com",
				Name:     name,
			}
			if k == kindProof {
				sample.Code = "7XK2M-9QD4T"
			}
			if k == kindProof || k == kindClosing {
				sample.Until = "2026-01-31 12:00 UTC"
			}
			for i := range translated.wordings {
				w, err := translated.fill(i, sample)
				if err != nil {
					return fmt.Errorf("%w: %s: %s: %w", ErrTemplate, k, translated.tags[i], err)
				}
				if !strings.Contains(w.text, sample.Code) || !strings.Contains(w.html, sample.Code) {
					return fmt.Errorf("%w: %s.%s: the code is not in both, text and html", ErrTemplate, k, translated.tags[i])
				}
			}
		}
	}
	return nil
}

// render returns the letter's content in the language nearest to locale.
func (t *Templates) render(k kind, locale string, f fields) (wording, error) {
	translated := t.letters[k]
	return translated.fill(translated.match(locale), f)
}

// match returns the index of the language nearest to locale, and English's
// where none is near. Longer text than a tag's is not looked at: it comes from
// anyone, and parsing it has been slow before (CVE-2022-32149).
func (t *translations) match(locale string) int {
	if len(locale) > maxLocale {
		return 0
	}
	tag, err := language.Parse(locale)
	if err != nil {
		return 0
	}
	_, i, _ := t.matcher.Match(tag)
	return i
}

func (t *translations) fill(i int, f fields) (wording, error) {
	f.Lang = t.tags[i].String()
	w := wording{language: f.Lang}
	subject, err := execute(t.wordings[i].subject, f)
	if err != nil {
		return wording{}, err
	}
	// Values that look like an encoded word (RFC 2047) would be decoded by the
	// reader's program, into what clean has just kept out.
	w.subject = strings.ReplaceAll(clean(subject, maxSubject), "=?", "= ?")
	if w.text, err = execute(t.wordings[i].text, f); err != nil {
		return wording{}, err
	}
	f.Subject = w.subject
	if w.html, err = execute(t.wordings[i].html, f); err != nil {
		return wording{}, err
	}
	if w.subject == "" || strings.TrimSpace(w.text) == "" || strings.TrimSpace(w.html) == "" {
		return wording{}, errEmptyTemplate
	}
	return w, nil
}

// execute returns what the template makes of f, bounded.
func execute(t interface{ Execute(io.Writer, any) error }, f fields) (string, error) {
	var b bounded
	if err := t.Execute(&b, f); err != nil {
		return "", err
	}
	return b.part.String(), nil
}

// bounded is a part of a letter that refuses to grow beyond maxPart.
type bounded struct{ part strings.Builder }

var errTooLong = errors.New("the letter is too long")

func (b *bounded) Write(p []byte) (int, error) {
	if b.part.Len()+len(p) > maxPart {
		return 0, errTooLong
	}
	return b.part.Write(p)
}
