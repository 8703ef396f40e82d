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
	noticePrefix  = "notice."
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

// Templates is the wording of letters, in some languages. It is immutable and
// safe for concurrent use.
type Templates struct {
	tags    []language.Tag // English first: what does not match falls back to it
	notices []notice       // by the same index
	matcher language.Matcher
}

// notice is the wording in one language.
type notice struct {
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
	tags, err := languages(files)
	if err != nil {
		return nil, err
	}
	t := &Templates{tags: tags, matcher: language.NewMatcher(tags)}
	for _, tag := range tags {
		n, err := parseNotice(files, tag.String())
		if err != nil {
			return nil, err
		}
		t.notices = append(t.notices, n)
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

// languages returns the languages that files are there for, English first.
func languages(files map[string]string) ([]language.Tag, error) {
	found := make(map[language.Tag]bool)
	for name := range files {
		if name == layoutFile {
			continue
		}
		tag, err := languageOf(name)
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
func languageOf(name string) (language.Tag, error) {
	rest, ok := strings.CutPrefix(name, noticePrefix)
	for _, suffix := range []string{subjectSuffix, textSuffix, htmlSuffix} {
		spelt, found := strings.CutSuffix(rest, suffix)
		if !ok || !found {
			continue
		}
		tag, err := language.Parse(spelt)
		if err != nil || tag.String() != spelt {
			return language.Tag{}, fmt.Errorf("%w: %q: the language is not a tag in its canonical spelling", ErrTemplate, name)
		}
		return tag, nil
	}
	return language.Tag{}, fmt.Errorf("%w: %q is the name of no template", ErrTemplate, name)
}

// parseNotice reads the three files of a language.
func parseNotice(files map[string]string, lang string) (notice, error) {
	name := noticePrefix + lang
	for _, suffix := range []string{subjectSuffix, textSuffix, htmlSuffix} {
		if _, ok := files[name+suffix]; !ok {
			return notice{}, fmt.Errorf("%w: %s is missing", ErrTemplate, name+suffix)
		}
	}
	var n notice
	var err error
	if n.subject, err = texttemplate.New(name + subjectSuffix).Parse(files[name+subjectSuffix]); err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if n.text, err = texttemplate.New(name + textSuffix).Parse(files[name+textSuffix]); err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if n.html, err = htmltemplate.New(layoutFile).Parse(files[layoutFile]); err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	// Parsed under the file's name, which its errors then hold.
	content, err := htmltemplate.New(name + htmlSuffix).Parse(files[name+htmlSuffix])
	if err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if _, err := n.html.AddParseTree("content", content.Tree); err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return n, nil
}

// try executes every template, so that none fails with a letter in hand.
func (t *Templates) try() error {
	for _, name := range []string{"", "Ada Lovelace"} {
		sample := fields{
			App:      "Example",
			LoginURL: "https://app.example.com/login",
			Email:    "ada@example.com",
			Name:     name,
		}
		for i := range t.notices {
			if _, err := t.fill(i, sample); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrTemplate, t.tags[i], err)
			}
		}
	}
	return nil
}

// render returns the letter's content in the language nearest to locale.
func (t *Templates) render(locale string, f fields) (wording, error) {
	return t.fill(t.match(locale), f)
}

// match returns the index of the language nearest to locale, and English's
// where none is near. Longer text than a tag's is not looked at: it comes from
// anyone, and parsing it has been slow before (CVE-2022-32149).
func (t *Templates) match(locale string) int {
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

func (t *Templates) fill(i int, f fields) (wording, error) {
	f.Lang = t.tags[i].String()
	w := wording{language: f.Lang}
	subject, err := execute(t.notices[i].subject, f)
	if err != nil {
		return wording{}, err
	}
	// Values that look like an encoded word (RFC 2047) would be decoded by the
	// reader's program, into what clean has just kept out.
	w.subject = strings.ReplaceAll(clean(subject, maxSubject), "=?", "= ?")
	if w.text, err = execute(t.notices[i].text, f); err != nil {
		return wording{}, err
	}
	f.Subject = w.subject
	if w.html, err = execute(t.notices[i].html, f); err != nil {
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
