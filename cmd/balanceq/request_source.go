package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/balanceq/balanceq/schemas"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// source yields requests, one at a time.
type source interface {
	// next returns the next request, or io.EOF after the last one. After a *badRequest the source goes on with the next
	// one; any other error is the end.
	next() (entry, error)
}

// entry is a request that is ready to be published.
type entry struct {
	where   string // in the input, for messages: "line 7"
	message schemas.Message
	id      string // of the request; "": none
}

// badRequest says where the input holds something that is not a valid request.
type badRequest struct {
	where   string // "line 7", "line 7, column contractId", "--contract"
	problem string
}

func (e *badRequest) Error() string { return e.where + ": " + e.problem }

// nowhere is the position at which requests are decoded here. An id made of it says that the request has none: no real one
// may hold a control character.
var nowhere = schemas.Position{Topic: "\n"}

// newEntry decodes the request for its contract id, which becomes the key, and its id. The error is a
// *schemas.RequestError; the entry is complete all the same, for who wants to publish it nevertheless.
func newEntry(where string, value []byte) (entry, error) {
	req, err := schemas.DecodeRequest(&schemas.Record{Position: nowhere, Value: value})
	e := entry{where: where, message: schemas.Message{Value: value}}
	if req.ID != nowhere.String() {
		e.id = req.ID
	}
	if req.ContractID != 0 {
		e.message.Key = strconv.AppendInt(nil, req.ContractID, 10)
	}
	return e, err
}

// draft is a request as texts that nobody has checked yet: from flags or a line of CSV.
type draft struct {
	contractID string
	codes      []string
	id         string // "": none
	deadline   string // "": none; RFC 3339 or a duration from now
}

// entry makes the request. Its error names one of the request's members.
func (d draft) entry(where string) (entry, error) {
	if left, err := time.ParseDuration(d.deadline); err == nil {
		d.deadline = time.Now().Add(left).UTC().Format(time.RFC3339Nano)
	}
	e, err := newEntry(where, d.json())
	for _, m := range []struct{ name, text string }{
		{"contractId", d.contractID}, {"balanceCodes", strings.Join(d.codes, ",")}, {"requestId", d.id}, {"deadline", d.deadline},
	} {
		if !utf8.ValidString(m.text) { // the JSON has replacement characters, which must not go out unnoticed
			return e, &schemas.RequestError{Field: m.name, Problem: "is not UTF-8; write it as UTF-8"}
		}
	}
	return e, err
}

// json is like schemas.Request.AppendJSON, for texts that may be wrong.
func (d draft) json() []byte {
	text := []byte(`{"contractId":`)
	text = appendQuoted(text, d.contractID)
	text = append(text, `,"balanceCodes":[`...)
	for i, code := range d.codes {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendQuoted(text, code)
	}
	text = append(text, ']')
	if d.id != "" {
		text = appendQuoted(append(text, `,"requestId":`...), d.id)
	}
	if d.deadline != "" {
		text = appendQuoted(append(text, `,"deadline":`...), d.deadline)
	}
	return append(text, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error says that s is not UTF-8; entry does too
	return dst
}

// newRequestID returns an id for a request that must be told apart from all others.
func newRequestID() string { return uuid.NewString() }

// flagSource makes a request for each contract.
type flagSource struct {
	o    *requestOptions
	done int
}

// flagOf is the flag that sets a request's member.
var flagOf = map[string]string{"contractId": "--contract", "balanceCodes": "--codes", "requestId": "--id", "deadline": "--deadline"}

func (s *flagSource) next() (entry, error) {
	if s.done == len(s.o.contracts) {
		return entry{}, io.EOF
	}
	d := draft{contractID: s.o.contracts[s.done], codes: s.o.codes, id: s.o.id, deadline: s.o.deadline}
	s.done++
	if d.id == "" && s.o.wait {
		d.id = newRequestID()
	}
	e, err := d.entry("request " + strconv.Itoa(s.done))
	if bad, ok := errors.AsType[*schemas.RequestError](err); ok && !s.o.noValidate {
		member, _, _ := strings.Cut(bad.Field, "[")
		return e, &badRequest{where: flagOf[member], problem: bad.Problem}
	}
	return e, nil
}

// checkFlags makes all requests once, so that nothing is published when one of them is not valid.
func checkFlags(o *requestOptions) error {
	for s := (&flagSource{o: o}); ; {
		_, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return usageError{err}
		}
	}
}

// The formats of files.
const (
	formatCSV    = "csv"
	formatNDJSON = "ndjson"
)

// fileFormat returns the format that was asked for, or else the one that the file's ending tells.
func fileFormat(path, format string) (string, error) {
	switch format {
	case formatCSV, formatNDJSON:
		return format, nil
	case "":
	default:
		return "", fmt.Errorf("--format: %q is not known; write csv or ndjson", format)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return formatCSV, nil
	case ".ndjson", ".jsonl":
		return formatNDJSON, nil
	}
	if path == "-" {
		return "", errors.New("--format: is needed for standard input; write csv or ndjson")
	}
	return "", fmt.Errorf("--format: the ending of %q does not tell the format; write csv or ndjson", path)
}

// input is what requests are read from.
type input struct {
	source
	name  string       // "": flags
	size  int64        // of the file in bytes, or the number of requests; -1: not known
	read  atomic.Int64 // how much of size has been read
	close func() error
}

// openInput opens the file, or standard input, or takes the requests from the flags.
func openInput(o *requestOptions, stdin io.Reader) (*input, error) {
	in := &input{name: o.file, size: -1, close: func() error { return nil }}
	if o.file == "" {
		in.size = int64(len(o.contracts))
		in.source = &flagSource{o: o}
		return in, checkFlags(o)
	}
	r := stdin
	if o.file == "-" {
		in.name = "standard input"
	} else {
		file, err := os.Open(o.file)
		if err != nil {
			return nil, usageError{fmt.Errorf("--file: %w", err)}
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
		r, in.close = file, file.Close
	}
	r = &countingReader{r: r, n: &in.read}
	if o.format == formatCSV {
		in.source = newCSVSource(r, o)
	} else {
		in.source = newNDJSONSource(r, o)
	}
	return in, nil
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
