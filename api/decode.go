package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/directory"
)

// maxBody is the longest body that is read, in bytes.
const maxBody = 64 << 10

// decode reads the request's body as exactly one JSON object of type T and
// checks its values. encoding/json, and Echo's binder over it, would take
// duplicate and differently-cased names, invalid UTF-8 and trailing data, on
// which two readers of one body can disagree (ASVS 1.5.3).
func decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var body T
	raw, err := readBody(w, r)
	if err != nil {
		return body, err
	}
	if err := scan(raw); err != nil {
		return body, err
	}
	if err := json.Unmarshal(raw, &body, json.RejectUnknownMembers(true)); err != nil {
		return body, malformed(err)
	}
	return body, validate(body)
}

// readBody returns the body of a request that says it is JSON.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, parameters, err := mediaType(r.Header.Get("Content-Type"))
	charset, hasCharset := parameters["charset"]
	switch {
	case err != nil || media != "application/json" || len(r.Header.Values("Content-Type")) != 1,
		hasCharset && !strings.EqualFold(charset, "utf-8"),
		r.Header.Get("Content-Encoding") != "":
		return nil, refuse(openapi.ProblemCodeUnsupportedMediaType)
	case r.ContentLength > maxBody:
		return nil, refuse(openapi.ProblemCodeBodyTooLarge)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(openapi.ProblemCodeBodyTooLarge)
	}
	if err != nil {
		// The client went away or was too slow; nobody reads the answer.
		return nil, &problem{code: openapi.ProblemCodeMalformedBody, cause: err}
	}
	return raw, nil
}

// mediaType parses a media type (RFC 9110 §8.3.1). What nearly all clients send
// needs no parsing.
func mediaType(header string) (media string, parameters map[string]string, err error) {
	if header == "application/json" {
		return header, nil, nil
	}
	return mime.ParseMediaType(header)
}

// scan reads the body as tokens and refuses what a decoder into Go values
// would let pass: null, which leaves a field as it was, NUL, which Postgres
// cannot store, and anything after the first value.
func scan(raw []byte) error {
	tokens, ok := decoders.Get().(*jsontext.Decoder)
	if !ok {
		tokens = new(jsontext.Decoder)
	}
	defer decoders.Put(tokens)
	tokens.Reset(bytes.NewBuffer(raw)) // which it reads in place
	defer tokens.Reset(nothing{})      // so that nobody's body is kept
	if tokens.PeekKind() != '{' {
		if _, err := tokens.ReadToken(); err != nil {
			return malformed(err)
		}
		return malformedAt("", openapi.FieldErrorCodeWrongType, "the body is not an object")
	}
	for {
		token, err := tokens.ReadToken()
		if err != nil {
			return malformed(err)
		}
		// The pointer is as long as the nesting is deep. Asked for at each token
		// it would cost the square of the body.
		switch token.Kind() {
		case 'n':
			return malformedAt(string(tokens.StackPointer()), openapi.FieldErrorCodeWrongType, "null is not a value here")
		case '"':
			if strings.IndexByte(token.String(), 0) >= 0 {
				return malformedAt(string(tokens.StackPointer()), openapi.FieldErrorCodeNulCharacter, "NUL is not allowed in text")
			}
		default: // the decoder judges it by the field's type
		}
		if tokens.StackDepth() == 0 {
			break
		}
	}
	if _, err := tokens.ReadToken(); !errors.Is(err, io.EOF) {
		return malformedAt("", openapi.FieldErrorCodeTrailingData, "something follows the object")
	}
	return nil
}

// decoders are what bodies are scanned with.
//
//nolint:gochecknoglobals // memory to use again
var decoders sync.Pool

// nothing has nothing to read.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// malformed says what of the JSON is wrong, and where, in our words: the
// library's would repeat what was sent.
func malformed(err error) *problem {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer := string(e.JSONPointer)
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return malformedAt(pointer, openapi.FieldErrorCodeDuplicateName, "the name appears twice")
		case !utf8.ValidString(pointer) || strings.Contains(e.Error(), "invalid UTF-8"):
			return malformedAt(strings.ToValidUTF8(pointer, "\ufffd"), openapi.FieldErrorCodeInvalidUTF8, "not UTF-8")
		}
		return malformedAt(pointer, openapi.FieldErrorCodeSyntax, "not JSON")
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return malformedAt(string(e.JSONPointer), openapi.FieldErrorCodeUnknownName, "no field has this name")
		}
		return malformedAt(string(e.JSONPointer), openapi.FieldErrorCodeWrongType, "not of the field's type")
	}
	return malformedAt("", openapi.FieldErrorCodeSyntax, "not JSON")
}

// maxPointer bounds what an answer repeats of a body, in bytes.
const maxPointer = 128

func malformedAt(pointer string, c openapi.FieldErrorCode, detail string) *problem {
	if len(pointer) > maxPointer {
		pointer = strings.ToValidUTF8(pointer[:maxPointer], "")
	}
	return &problem{code: openapi.ProblemCodeMalformedBody, fields: []openapi.FieldError{{Pointer: pointer, Code: c, Detail: detail}}}
}

// checker knows the contract's bounds, from the models' tags. It caches what
// it learns of them and is safe for concurrent use.
//
//nolint:gochecknoglobals // a cache of types, which never change
var checker = newChecker()

func newChecker() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	for tag, valid := range map[string]func(text string) bool{
		"printable": printable,
		"external_id": func(text string) bool {
			_, err := directory.ParseExternalID(text)
			return err == nil
		},
	} {
		err := v.RegisterValidation(tag, func(field validator.FieldLevel) bool { return valid(field.Field().String()) })
		if err != nil {
			panic(err) // the tags' names are constants
		}
	}
	return v
}

// The two joiners are part of how words are written, in Persian, in Hindi and
// in emoji.
const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// printable reports whether text can be shown: no controls, which forge lines
// in logs and mails, and no characters that reorder what is read.
func printable(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
	})
}

// validate checks the values of a body.
func validate(body any) error {
	err := checker.Struct(body)
	if err == nil {
		return nil
	}
	failures, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		return err
	}
	p := &problem{code: openapi.ProblemCodeInvalidFields}
	for _, f := range failures {
		c, detail := openapi.FieldErrorCodeInvalidValue, "not an acceptable value"
		switch f.Tag() {
		case "required":
			c, detail = openapi.FieldErrorCodeRequired, "the field is required"
		case "max":
			c, detail = openapi.FieldErrorCodeTooLong, "longer than "+f.Param()+" characters"
		}
		p.fields = append(p.fields, openapi.FieldError{Pointer: "/" + f.Field(), Code: c, Detail: detail})
	}
	return p
}

// parameters returns the named query parameters, "" where one is missing. It
// refuses one that comes twice: a proxy and we might take different ones
// (ASVS 15.3.7). Parameters of other names are not ours to judge.
func parameters(r *http.Request, names ...string) (map[string]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(openapi.ProblemCodeInvalidQuery)
	}
	values := make(map[string]string, len(names))
	for _, name := range names {
		switch all := query[name]; {
		case len(all) > 1:
			return nil, invalidParameter(name, openapi.FieldErrorCodeRepeated, "the parameter appears twice")
		case len(all) == 1 && (!utf8.ValidString(all[0]) || strings.ContainsRune(all[0], 0)):
			return nil, invalidParameter(name, openapi.FieldErrorCodeInvalidUTF8, "not text")
		case len(all) == 1:
			values[name] = all[0]
		}
	}
	return values, nil
}
