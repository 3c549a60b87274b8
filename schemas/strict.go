package schemas

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/internal/jsonwalk"
	"github.com/balanceq/balanceq/internal/poison"
)

// errTooDeep ends the reading of a text that is nested deeper than MaxRequestDepth.
var errTooDeep = errors.New("nested deeper than " + strconv.Itoa(MaxRequestDepth) + " levels")

// decoder reads one JSON text strictly, as RFC 7493 (I-JSON) asks: no duplicate members, no invalid UTF-8, no lone
// surrogates, nothing after the text; and as deep as MaxRequestDepth, no deeper. encoding/json lets all of that pass,
// and matches member names without regard to case.
//
// Its errors are those of jsontext and errTooDeep; they end the reading, and explain puts them into words.
type decoder struct {
	json    jsontext.Decoder
	text    bytes.Buffer // jsontext parses straight from a bytes.Buffer, without copying or changing it
	scratch []byte       // the last string that had escapes
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.json.Reset(&d.text)
	return d
}}

// openDecoder returns a decoder of text, which must stay unchanged until close.
func openDecoder(text []byte) *decoder {
	d, _ := decoders.Get().(*decoder) // it holds nothing else
	d.text = *bytes.NewBuffer(text)
	return d
}

// close gives the decoder back. It lets go of the text, which is often part of a whole fetch; and after a long text it
// drops the decoder, because jsontext keeps the member names it has seen in buffers that grow with the text.
func (d *decoder) close() {
	const keep = 64 << 10
	if d.json.InputOffset() > keep {
		return
	}
	d.text = bytes.Buffer{}
	d.json.Reset(&d.text)
	poison.Bytes(d.scratch)
	decoders.Put(d)
}

// kind returns the kind of the next value. At a syntax error it is invalid, and the next read returns the error.
func (d *decoder) kind() jsontext.Kind { return d.json.PeekKind() }

// scalar reads a number or a string and returns its digits or its characters, valid until the next read.
func (d *decoder) scalar() ([]byte, error) {
	raw, err := d.json.ReadValue()
	if err != nil || raw.Kind() != '"' {
		return raw, err
	}
	return d.unquote(raw), nil
}

func (d *decoder) unquote(raw jsontext.Value) []byte { return jsonwalk.Unquote(raw, &d.scratch) }

// members reads an object and calls member after each name; member must read exactly the value. The name is valid until
// then.
func (d *decoder) members(member func(name []byte) error) error {
	return jsonwalk.Members(&d.json, &d.scratch, member)
}

// elements reads an array and calls element before each element; element must read exactly the value.
func (d *decoder) elements(element func(i int) error) error {
	return jsonwalk.Elements(&d.json, element)
}

// skip reads one value of any kind, as strictly as any other.
func (d *decoder) skip() error {
	floor := d.json.StackDepth()
	for {
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
		switch depth := d.json.StackDepth(); {
		case depth > MaxRequestDepth:
			return errTooDeep
		case depth <= floor:
			return nil
		}
	}
}

// end reports what stands after the text.
func (d *decoder) end() error {
	switch _, err := d.json.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return errTrailing
	}
}

var errTrailing = errors.New("something follows the JSON value")

// duplicate returns the name of a member that stands twice in one object, and the object's place.
func duplicate(err error) (name string, object jsontext.Pointer, ok bool) {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok || !errors.Is(err, jsontext.ErrDuplicateName) {
		return "", "", false
	}
	return syntax.JSONPointer.LastToken(), syntax.JSONPointer.Parent(), true
}

// explain puts an error of the reading into words for people: what is wrong with the text, and what to send.
func explain(err error) string {
	if name, _, ok := duplicate(err); ok {
		return "has the member " + quote([]byte(name)) + " twice in one object; send it once"
	}
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, errTooDeep):
		return "is " + err.Error() + "; send a flatter one"
	case errors.Is(err, errTrailing):
		return "has more after the JSON value; send one JSON value"
	case errors.Is(err, io.EOF):
		return "is only white space; send a JSON object"
	case !ok:
		return "cannot be read as JSON: " + err.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "is not complete JSON: it ends at byte " + strconv.FormatInt(syntax.ByteOffset, 10)
	case syntax.ByteOffset == 0 && strings.Contains(syntax.Err.Error(), `'\ufeff'`):
		return "begins with a byte order mark; send JSON without one"
	}
	return "is not valid JSON at byte " + strconv.FormatInt(syntax.ByteOffset, 10) + ": " + syntax.Err.Error()
}

// parseTime reads an RFC 3339 time with a zone and returns it in UTC. Package time also takes one-digit hours, a comma
// before the fraction and zones of a day and more (go.dev/issue/54580), which others would not read the same way:
// refused here.
func parseTime(text []byte) (time.Time, bool) {
	const digits = "2006-01-02T15:04:05" // and then a fraction or the zone
	var t time.Time
	if len(text) <= len(digits) || text[13] != ':' || text[len(digits)] == ',' || t.UnmarshalText(text) != nil {
		return time.Time{}, false
	}
	if zone := text[len(text)-len("+07:00"):]; text[len(text)-1] != 'Z' &&
		(string(zone[1:3]) > "23" || string(zone[4:]) > "59") {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// kindName names a kind for people: "a boolean".
func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "not JSON"
}

// maxQuoted bounds a quotation of the input in an error text, in bytes before quoting.
const maxQuoted = 64

// quote returns the beginning of text for an error: bounded, printable, and with card numbers masked. Masking comes
// before the cut, so that the cut cannot make a card number unrecognisable and leave most of its digits; and once more
// after quoting, where an escape such as \x00 may have added digits in front of others.
func quote(text []byte) string {
	beginning := string(text[:min(len(text), 4*maxQuoted)])
	masked := Mask(strings.ToValidUTF8(beginning, "\uFFFD"))
	if len(masked) > maxQuoted {
		masked = cut(masked, maxQuoted) + "…"
	}
	return Mask(strconv.Quote(masked))
}

// cut returns at most limit bytes of s, ending at a rune border.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// hasControl reports whether text has a control character: C0, DEL or C1.
func hasControl(text []byte) bool {
	for _, b := range text {
		if b < ' ' || b >= 0x7f {
			return bytes.ContainsFunc(text, unicode.IsControl)
		}
	}
	return false
}
