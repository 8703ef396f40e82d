package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Root is the page's path. Its files are below it.
const Root = "/docs"

// Policy is the page's Content-Security-Policy.
//
//   - The sandbox gives it an origin that is nobody's: the session's cookie is
//     SameSite=Strict and does not go with what it asks, and what it reads of
//     the API no CORS lets it see. Of what a sandbox can allow it has scripts,
//     and what links and downloads need.
//   - Nothing may be asked at all (connect-src is default-src's 'none'), so
//     that nothing could be told to anybody either.
//   - Scripts are files of this server, and none is inline or evaluated.
//     Redoc searches in a worker that it makes itself: worker-src.
//   - Styles have to be 'unsafe-inline': Redoc's parts make style elements as
//     they go, and stop with an error where they may not; its place for a nonce
//     cannot be reached from outside of the bundle. A style can send nothing
//     anywhere here, since no image, font or import of another host is
//     permitted.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; worker-src blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-downloads"

// What a file of the page may be kept for: its name changes with what it holds.
const forGood = "public, max-age=31536000, immutable"

// ErrNoFile means that the page has no file of that name.
var ErrNoFile = errors.New("the page has no such file")

var (
	//go:embed redoc.standalone.js.gz
	bundle []byte

	//go:embed page.html
	pageSource string

	//go:embed page.css
	style []byte

	//go:embed start.js
	start string
)

// Site is the page, its files and the contract. Its methods may be used at
// once.
type Site struct {
	page     []byte
	contract []byte
	files    map[string]file // by name, with the hash in it
}

// file is kept as it is sent: compressed.
type file struct {
	gzipped []byte
	etag    string // without quotes
}

// New returns the page of a contract, as it is read at publicURL.
func New(contract []byte, publicURL string) (*Site, error) {
	own, err := at(contract, publicURL)
	if err != nil {
		return nil, err
	}
	data, err := asJSON(own)
	if err != nil {
		return nil, err
	}
	site := &Site{contract: own, files: make(map[string]file)}
	started := strings.Replace(start, "CONTRACT", string(data), 1)
	var page bytes.Buffer
	if err := template.Must(template.New("page").Parse(pageSource)).Execute(&page, map[string]string{
		"Title":  "Portico",
		"Style":  site.add("page.css", pressed(style)),
		"Bundle": site.add("redoc.js", bundle),
		"Start":  site.add("start.js", pressed([]byte(started))),
	}); err != nil {
		return nil, err
	}
	site.page = page.Bytes()
	return site, nil
}

// add keeps a file under a name that says what it holds, and returns its path.
func (s *Site) add(name string, gzipped []byte) string {
	sum := sha256.Sum256(gzipped)
	hash := hex.EncodeToString(sum[:8])
	base, extension, _ := strings.Cut(name, ".")
	named := base + "-" + hash + "." + extension
	s.files[named] = file{gzipped: gzipped, etag: hash}
	return path.Join(Root, named)
}

// pressed is compressed.
func pressed(raw []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // the level is one, and memory takes all that is written to it
	}
	return b.Bytes()
}

// Page answers with the page.
func (s *Site) Page(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", Policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	return whole(w, r, s.page)
}

// Contract answers with the contract.
func (s *Site) Contract(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	return whole(w, r, s.contract)
}

func whole(w http.ResponseWriter, r *http.Request, body []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}

// Send answers with one of the page's files. It returns ErrNoFile for a name
// that is none.
func (s *Site) Send(w http.ResponseWriter, r *http.Request, name string) error {
	f, ok := s.files[name]
	if !ok {
		return ErrNoFile
	}
	h := w.Header()
	plain := !acceptsGzip(r.Header.Values("Accept-Encoding"))
	etag := `"` + f.etag + `"`
	if plain {
		etag = `"` + f.etag + `-plain"`
	}
	// The page's origin is nobody's, so that its files are another origin's.
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", forGood)
	h.Set("ETag", etag)
	h.Add("Vary", "Accept-Encoding")
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", contentType(name))
	if !plain {
		h.Set("Content-Encoding", "gzip")
		return whole(w, r, f.gzipped)
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(f.gzipped))
	if err != nil {
		return err
	}
	_, err = io.Copy(w, unzipped) //nolint:gosec // what it grows to is built in
	return err
}

func contentType(name string) string {
	if path.Ext(name) == ".css" {
		return "text/css; charset=utf-8"
	}
	return "text/javascript; charset=utf-8"
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(values []string) bool {
	accepted := false
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, weight, _ := strings.Cut(value, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		_, q, _ := strings.Cut(weight, "=")
		n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		wanted := err != nil || n > 0
		switch coding {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			accepted = wanted
		}
	}
	return accepted
}

// matches reads If-None-Match (RFC 9110 §13.1.2).
func matches(values []string, etag string) bool {
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		value = strings.TrimPrefix(strings.TrimSpace(value), "W/")
		if value == etag || value == "*" {
			return true
		}
	}
	return false
}
