// Package jsonwalk reads the objects and arrays of a jsontext.Decoder step by step, without copying what is read. How
// strictly is the decoder's matter. It knows nothing of balanceq.
package jsonwalk

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Members reads an object and calls member after each name; member must read exactly the value. The name is valid until
// then. scratch is memory for names with escapes.
func Members(d *jsontext.Decoder, scratch *[]byte, member func(name []byte) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := member(Unquote(raw, scratch)); err != nil {
			return err
		}
	}
	_, err := d.ReadToken() // the closing brace, or the error of what stands in its place
	return err
}

// Elements reads an array and calls element before each element; element must read exactly the value.
func Elements(d *jsontext.Decoder, element func(i int) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for i := 0; d.PeekKind() != ']' && d.PeekKind() != jsontext.KindInvalid; i++ {
		if err := element(i); err != nil {
			return err
		}
	}
	_, err := d.ReadToken() // the closing bracket, or the error that PeekKind met
	return err
}

// Unquote returns the characters of a string that a decoder has read. They are part of raw or of scratch.
func Unquote(raw jsontext.Value, scratch *[]byte) []byte {
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside
	}
	*scratch, _ = jsontext.AppendUnquote((*scratch)[:0], raw) // no error: the decoder has checked it
	return *scratch
}
