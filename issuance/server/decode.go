package server

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cardinal/certs"
	"cardinal/issuance"
)

func badField(field, format string, args ...any) error {
	return &wrong{http.StatusBadRequest, "request.body", field, fmt.Sprintf(format, args...)}
}

// isJSON demands application/json, in UTF-8 where it says (RFC 8259 §8.1).
func (x *exchange) isJSON() error {
	kind, params, err := mime.ParseMediaType(x.Header.Get("Content-Type"))
	charset, said := params["charset"]
	if err != nil || kind != "application/json" || said && !strings.EqualFold(charset, "utf-8") {
		return &wrong{http.StatusUnsupportedMediaType, "request.content-type", "", "the body must be application/json"}
	}
	if x.Header.Get("Content-Encoding") != "" {
		return &wrong{http.StatusUnsupportedMediaType, "request.content-type", "", "the body must not be encoded"}
	}
	return nil
}

// body reads the one JSON value of a request into T: nothing unknown, nothing
// twice, no null, nothing behind it.
func body[T any](x *exchange) (*T, error) {
	data, err := io.ReadAll(x.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &wrong{http.StatusRequestEntityTooLarge, "request.size", "", fmt.Sprintf("the body is over %d octets", large.Limit)}
	case err != nil:
		return nil, badField("", "the body ends early")
	}
	return decode[T](data)
}

func decode[T any](data []byte) (*T, error) {
	if err := strict(data, reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	into := new(T)
	err := json.Unmarshal(data, into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return nil, badField(kind.Field, "a %s where %s belongs", kind.Value, kind.Type)
	case err != nil:
		return nil, badField("", "not understood: %v", err)
	}
	return into, nil
}

// walk goes over a body's tokens beside the type it is for.
type walk struct {
	tokens *json.Decoder
	depth  int
}

// strict refuses what encoding/json lets pass: members that are unknown, spelled
// in another case or given twice, null, deep nesting, and text behind the value.
func strict(data []byte, t reflect.Type) error {
	w := &walk{tokens: json.NewDecoder(bytes.NewReader(data))}
	w.tokens.UseNumber()
	if err := w.value("", t); err != nil {
		return err
	}
	if _, err := w.tokens.Token(); !errors.Is(err, io.EOF) {
		return badField("", "something follows the value at octet %d", w.tokens.InputOffset())
	}
	return nil
}

func (w *walk) value(path string, t reflect.Type) error {
	token, err := w.tokens.Token()
	if err != nil {
		return badField(path, "no JSON at octet %d: %v", w.tokens.InputOffset(), err)
	}
	if w.depth++; w.depth > depthMax {
		return badField(path, "nested deeper than %d", depthMax)
	}
	defer func() { w.depth-- }()
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token {
	case nil:
		return badField(path, "null is no value here; leave the member out")
	case json.Delim('{'):
		return w.object(path, t)
	case json.Delim('['):
		return w.array(path, t)
	}
	return nil // Unmarshal judges scalars
}

func (w *walk) object(path string, t reflect.Type) error {
	if t == nil || t.Kind() != reflect.Struct {
		return badField(path, "an object does not belong here")
	}
	var seen []string
	for w.tokens.More() {
		token, err := w.tokens.Token()
		if err != nil {
			return badField(path, "no JSON at octet %d: %v", w.tokens.InputOffset(), err)
		}
		name, _ := token.(string)
		inner := strings.TrimPrefix(path+"."+name, ".")
		field, known := member(t, name)
		switch {
		case !known:
			return badField(inner, "is not known")
		case slices.Contains(seen, name):
			return badField(inner, "is given twice")
		}
		seen = append(seen, name)
		if err := w.value(inner, field); err != nil {
			return err
		}
	}
	return w.end(path)
}

func (w *walk) array(path string, t reflect.Type) error {
	if t == nil || t.Kind() != reflect.Slice || t.Elem().Kind() == reflect.Uint8 {
		return badField(path, "a list does not belong here")
	}
	for i := 0; w.tokens.More(); i++ {
		if err := w.value(path+"["+strconv.Itoa(i)+"]", t.Elem()); err != nil {
			return err
		}
	}
	return w.end(path)
}

func (w *walk) end(path string) error {
	if _, err := w.tokens.Token(); err != nil {
		return badField(path, "no JSON at octet %d: %v", w.tokens.InputOffset(), err)
	}
	return nil
}

// member finds a struct's field by its exact JSON name.
func member(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && tag != "" {
			return f.Type, true
		}
	}
	return nil, false
}

// onePEM takes exactly one block of a kind, with nothing around it but space
// (RFC 7468 §3).
func onePEM(field, kind, text string) ([]byte, error) {
	if len(text) > pemMax {
		return nil, badField(field, "is PEM of %d octets, at most %d", len(text), pemMax)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || len(block.Headers) > 0:
		return nil, badField(field, "is no PEM")
	case block.Type != kind && !(kind == "CERTIFICATE REQUEST" && block.Type == "NEW CERTIFICATE REQUEST"):
		return nil, badField(field, "is PEM of a %s, not of a %s", block.Type, kind)
	case strings.TrimSpace(string(rest)) != "":
		return nil, badField(field, "something follows the PEM")
	}
	return block.Bytes, nil
}

// person takes the user id out of the path or a body.
func person(field, text string) (certs.UUID, error) {
	uuid, err := certs.ParseUUID(text)
	if err != nil {
		return "", badField(field, "%q is not 12 digits, the first not 0", text)
	}
	return uuid, nil
}

// known refuses query parameters a route does not have, and repeated ones.
func (x *exchange) known(names ...string) error {
	for name, values := range x.query {
		if !slices.Contains(names, name) || len(values) != 1 {
			return &wrong{http.StatusBadRequest, "request.query", name, "is not known, or given twice"}
		}
	}
	return nil
}

func (x *exchange) page() (issuance.Page, error) {
	p := issuance.Page{After: x.query.Get("after")}
	if text := x.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, &wrong{http.StatusBadRequest, "request.query", "limit", "is no count"}
		}
		p.Limit = n
	}
	return p, nil
}
