package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The largest bodies of requests in bytes, after base64. Whoever reads a body answers too_large beyond them.
const (
	MaxBody        = 8 << 10
	MaxWebhookBody = 1 << 20
)

// Decode reads a request body, one JSON object in UTF-8, into the zero struct that into points to. An empty body counts
// as {}. Fields without omitempty are required, and required strings must not be empty.
//
// It is strict, so that a request has one meaning for whoever sends, relays and reads it (RFC 8259 §4, §8; RFC 7493
// §2): refused are unknown fields, names in another case, repeated fields, null, values of another type, strings that
// are not Unicode, and whatever follows the object. The error is then a *[Problem] invalid_request whose detail names
// the field, and never tells a value. What is nested deeper than the struct is of a wrong type, so the struct bounds
// the depth.
//
// The fields may be strings, booleans, signed integers, structs, and pointers to and slices of these. Any other error
// is about the struct, not about the request.
func Decode(body []byte, into any) error { return decode(body, into, false) }

// decode is Decode. Where the names are private one that is not known is not told, either: it may be a secret in the wrong
// place.
func decode(body []byte, into any, private bool) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	if !utf8.Valid(body) {
		return invalid("body", "must be UTF-8")
	}
	if !json.Valid(body) {
		return invalid("body", "must be valid JSON, with nothing after it")
	}
	d := decoder{json.NewDecoder(bytes.NewReader(body)), body, private}
	d.UseNumber()
	return d.value("", reflect.ValueOf(into).Elem())
}

// decoder reads one text that is known to be valid JSON, token by token, along the type it is read into.
type decoder struct {
	*json.Decoder
	text    []byte
	private bool
}

// value reads the next value into v. The path is empty for the body itself.
func (d decoder) value(path string, v reflect.Value) error {
	start := d.InputOffset()
	token, err := d.Token()
	if err != nil {
		return invalid("body", "must be valid JSON")
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if token == nil && path != "" {
		return invalid(path, "must not be null")
	}
	switch v.Kind() {
	case reflect.Struct:
		if token != json.Delim('{') {
			return invalid(cmp.Or(path, "body"), "must be an object")
		}
		return d.object(path, v)
	case reflect.Slice:
		if token != json.Delim('[') {
			return invalid(path, "must be an array")
		}
		return d.array(path, v)
	case reflect.String:
		text, ok := token.(string)
		if !ok {
			return invalid(path, "must be a string")
		}
		if loneSurrogate(d.text[start:d.InputOffset()]) {
			return invalid(path, "must be Unicode text: half of a surrogate pair stands alone")
		}
		v.SetString(text)
	case reflect.Bool:
		truth, ok := token.(bool)
		if !ok {
			return invalid(path, "must be true or false")
		}
		v.SetBool(truth)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number, _ := token.(json.Number)
		n, err := strconv.ParseInt(number.String(), 10, v.Type().Bits())
		if err != nil {
			return invalid(path, "must be a whole number in range")
		}
		v.SetInt(n)
	default:
		return fmt.Errorf("api: cannot decode %s into a %s", path, v.Type())
	}
	return nil
}

// object reads the fields of an object whose brace has been read.
func (d decoder) object(path string, v reflect.Value) error {
	fields := fieldsOf(v.Type())
	given := make([]bool, len(fields))
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return invalid("body", "must be valid JSON")
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case i < 0 && d.private:
			return invalid(cmp.Or(path, "body"), "unknown field: there are "+names(fields))
		case i < 0:
			return invalid(join(path, shown(name)), unknown(fields, name))
		case given[i]:
			return invalid(join(path, name), "must not be given twice")
		}
		given[i] = true
		if err := d.value(join(path, name), v.FieldByIndex(fields[i].index)); err != nil {
			return err
		}
	}
	for i, f := range fields {
		switch value := v.FieldByIndex(f.index); {
		case !f.required:
		case !given[i]:
			return invalid(join(path, f.name), "is required")
		case value.Kind() == reflect.String && value.Len() == 0:
			return invalid(join(path, f.name), "must not be empty")
		}
	}
	_, err := d.Token() // the closing brace
	return err
}

// array reads the elements of an array whose bracket has been read.
func (d decoder) array(path string, v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for d.More() {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(fmt.Sprintf("%s[%d]", path, v.Len()), element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
	_, err := d.Token() // the closing bracket
	return err
}

// field is a field of a struct as JSON names it.
type field struct {
	name     string
	index    []int
	required bool
}

var fieldsByType sync.Map // finding them takes longer than reading most requests

func fieldsOf(t reflect.Type) []field {
	if fields, ok := fieldsByType.Load(t); ok {
		return fields.([]field)
	}
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		fields = append(fields, field{cmp.Or(name, f.Name), f.Index, !strings.Contains(options, "omit")})
	}
	fieldsByType.Store(t, fields)
	return fields
}

// names are those of all fields.
func names(fields []field) string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return strings.Join(all, ", ")
}

// unknown says what is wrong with a name that no field has. A name in another case, which encoding/json would take, is
// told the right one.
func unknown(fields []field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return "unknown field, it is written " + f.name
		}
	}
	return "unknown field"
}

// shown is a name that came from outside as it may stand in a detail: short, and quoted if it is unlike any name here.
func shown(name string) string {
	const longest = 64
	plain := func(r rune) bool {
		return r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return name
	}
	return strconv.QuoteToASCII(name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// loneSurrogate says whether a JSON string escapes half of a surrogate pair without the other. encoding/json would
// silently put U+FFFD in its place, so that two different strings become the same.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		first := escaped(text[i:])
		if !utf16.IsSurrogate(first) {
			continue // of \uXXXX the digits are left to the loop: none is a backslash
		}
		i += len("uXXXX")
		if i >= len(text) || text[i] != '\\' || utf16.DecodeRune(first, escaped(text[i+1:])) == utf8.RuneError {
			return true
		}
		i += len("uXXXX")
	}
	return false
}

// escaped is the code unit of an escape uXXXX, -1 for another escape.
func escaped(text []byte) rune {
	if len(text) < len("uXXXX") || text[0] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[1:len("uXXXX")]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
