package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Parts are the parts of a record that its dead letter can be written without.
type Parts struct{ Value, Headers, Key bool }

// Any says whether there is one.
func (p Parts) Any() bool { return p != Parts{} }

func (p Parts) String() string {
	var names []string
	for _, part := range []struct {
		name string
		is   bool
	}{{"value", p.Value}, {"headers", p.Headers}, {"key", p.Key}} {
		if part.is {
			names = append(names, part.name)
		}
	}
	return strings.Join(names, ",")
}

func parseParts(s string) (p Parts) {
	for name := range strings.SplitSeq(s, ",") {
		switch name {
		case "value":
			p.Value = true
		case "headers":
			p.Headers = true
		case "key":
			p.Key = true
		}
	}
	return p
}

// Without is how a dead letter is written that its topic does not take as it is.
type Without struct {
	Parts // left out
	// Keyed gives a record without a key one, the request's position: a compacted topic takes none without.
	Keyed bool
}

// Omission describes what a dead letter was written without. Sizes are in bytes, -1: not known; digests are SHA-256 in
// hexadecimal, "": not known.
type Omission struct {
	Parts
	ValueSize, KeySize, Headers int64 // Headers is their number
	ValueSHA256, KeySHA256      string
}

// omission is what a dead letter of the record lacks that is written without the parts.
func omission(rec *Record, parts Parts) Omission {
	o := Omission{Parts: parts, ValueSize: -1, KeySize: -1, Headers: -1}
	if over := rec.Oversized; over != nil {
		o.Value, o.Parts.Headers = true, true
		o.ValueSize, o.Headers = over.Value, over.Headers
		if over.SHA256 != [32]byte{} {
			o.ValueSHA256 = hex.EncodeToString(over.SHA256[:])
		}
	} else {
		if parts.Value {
			o.ValueSize, o.ValueSHA256 = int64(len(rec.Value)), digest(rec.Value)
		}
		if parts.Headers {
			o.Headers = int64(len(rec.Headers))
		}
	}
	if parts.Key {
		o.KeySize, o.KeySHA256 = int64(len(rec.Key)), digest(rec.Key)
	}
	return o
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// headers states the omission; key and value that are there need no statement.
func (h *headerList) omission(o Omission) {
	if !o.Any() {
		return
	}
	h.exact(HeaderOmitted, o.String())
	h.size(HeaderValueSize, o.ValueSize)
	h.exact(HeaderValueSHA256, o.ValueSHA256)
	h.size(HeaderKeySize, o.KeySize)
	h.exact(HeaderKeySHA256, o.KeySHA256)
	h.size(HeaderHeadersCount, o.Headers)
}

func (h *headerList) size(name string, n int64) {
	if n >= 0 {
		h.exact(name, strconv.FormatInt(n, 10))
	}
}

// leftOut says for people what the topic was too small for.
func (p Parts) leftOut() string {
	if !p.Any() {
		return ""
	}
	return "left out, as it is too large for the dead-letter topic: " + strings.ReplaceAll(p.String(), ",", ", ")
}

// readOmission returns nil for a dead letter that holds all of its record.
func readOmission(rec *Record) *Omission {
	parts, _ := rec.Header(HeaderOmitted)
	o := Omission{Parts: parseParts(string(parts)), ValueSize: -1, KeySize: -1, Headers: -1}
	if !o.Any() {
		return nil
	}
	for name, to := range map[string]*int64{HeaderValueSize: &o.ValueSize, HeaderKeySize: &o.KeySize,
		HeaderHeadersCount: &o.Headers} {
		if n, ok := headerInt(rec, name, 64); ok {
			*to = n
		}
	}
	for name, to := range map[string]*string{HeaderValueSHA256: &o.ValueSHA256, HeaderKeySHA256: &o.KeySHA256} {
		value, _ := rec.Header(name)
		if sum, err := hex.DecodeString(string(value)); err == nil && len(sum) == sha256.Size {
			*to = string(value)
		}
	}
	return &o
}

// keyWasNull says that the key of a dead letter is not its record's, which has none.
func keyWasNull(letter *Record) bool {
	key, _ := letter.Header(HeaderOriginalKey)
	return string(key) == nullKey
}

const nullKey = "null"
