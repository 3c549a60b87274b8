package request

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
)

// csvColumns are the columns that a file may have: the members of a request.
var csvColumns = []string{"contractId", "balanceCodes", "requestId", "deadline"}

// maxRecord bounds one request of the input in bytes, so that a quote that is never closed does not read a whole file
// into memory. It is a little more than the largest valid request, so that one that is too large can be tried out.
const maxRecord = schemas.MaxRequestSize + 64<<10

// csvSource reads RFC 4180, with a header line.
type csvSource struct {
	csv     *csv.Reader
	limit   *recordLimit
	o       *options
	columns map[string]int // index by name; nil: the header has not been read
	began   int            // on which the last record began
}

func newCSVSource(r io.Reader, o *options) *csvSource {
	limit := &recordLimit{r: skipByteOrderMark(r)}
	s := &csvSource{csv: csv.NewReader(limit), limit: limit, o: o}
	s.csv.FieldsPerRecord = -1 // checked here, with a better message
	s.csv.TrimLeadingSpace = true
	s.csv.ReuseRecord = true
	return s
}

func (s *csvSource) next() (entry, error) {
	if s.columns == nil {
		if err := s.readHeader(); err != nil {
			return entry{}, err
		}
	}
	fields, err := s.readRecord()
	if err != nil {
		return entry{}, err
	}
	where := "line " + strconv.Itoa(s.began)
	if len(fields) != len(s.columns) {
		return entry{}, &BadRequestError{where, fmt.Sprintf(
			"has %d columns and the header %d; put cells with commas into quotes",
			len(fields), len(s.columns))}
	}
	cell := func(name string) string {
		i, ok := s.columns[name]
		if !ok {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	d := Draft{ContractID: cell("contractId"), Codes: splitCodes(cell("balanceCodes")), id: cell("requestId"),
		deadline: cell("deadline")}
	if d.id == "" && s.o.wait {
		d.id = NewID()
	}
	e, err := d.Entry(where)
	if bad, ok := errors.AsType[*schemas.RequestError](err); ok && !s.o.noValidate {
		column, _, _ := strings.Cut(bad.Field, "[")
		return e, &BadRequestError{where + ", column " + column, bad.Problem}
	}
	return e, nil
}

func (s *csvSource) line() int { return s.began }

// splitCodes splits at what a balance code may not hold or would not hold in practice.
func splitCodes(cell string) []string {
	return strings.FieldsFunc(cell, func(r rune) bool { return r == '|' || r == ',' || r == ' ' || r == '\t' })
}

// readRecord returns the fields, valid until the next call.
func (s *csvSource) readRecord() ([]string, error) {
	s.limit.left = maxRecord
	fields, err := s.csv.Read()
	if syntax, ok := errors.AsType[*csv.ParseError](err); ok {
		s.began = syntax.StartLine
		where, problem := fmt.Sprintf("line %d, column %d", syntax.Line, syntax.Column), syntax.Err.Error()
		if syntax.StartLine != syntax.Line {
			problem += fmt.Sprintf(" (it began on line %d)", syntax.StartLine)
		}
		return nil, &BadRequestError{where, problem}
	}
	if errors.Is(err, errRecordTooLong) {
		return nil, fmt.Errorf("after line %d: %w", s.began, err)
	}
	if err != nil {
		return nil, err
	}
	s.began, _ = s.csv.FieldPos(0)
	return fields, nil
}

// readHeader's errors end the input: without a header no line can be read.
func (s *csvSource) readHeader() error {
	header, err := s.readRecord()
	if errors.Is(err, io.EOF) {
		return errors.New("has no lines; begin with the header contractId,balanceCodes")
	}
	if err != nil {
		return fmt.Errorf("reading the header: %s", err) //nolint:errorlint // a bad header cannot be skipped like a bad line
	}
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t") {
		return fmt.Errorf("line %d: the columns are separated by something other than commas; save the file with commas",
			s.began)
	}
	columns := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !slices.Contains(csvColumns, name) {
			return fmt.Errorf("line %d: unknown column %q; %s", s.began, term.Shorten(name), suggestColumn(name))
		}
		if _, twice := columns[name]; twice {
			return fmt.Errorf("line %d: column %s is there twice; remove one", s.began, name)
		}
		columns[name] = i
	}
	for _, name := range csvColumns[:2] {
		if _, ok := columns[name]; !ok && !s.o.noValidate {
			return fmt.Errorf(
				"line %d: column %s is missing; the header is contractId,balanceCodes and, if wanted, requestId and deadline",
				s.began, name)
		}
	}
	s.columns = columns
	return nil
}

func suggestColumn(name string) string {
	best := config.Nearest(name, csvColumns)
	if best == "" {
		return "the columns are " + strings.Join(csvColumns, ", ")
	}
	return "did you mean " + best + "?"
}

var errRecordTooLong = fmt.Errorf("a line is longer than %d bytes; is a quote not closed?", maxRecord)

// recordLimit fails when more is read than one record may take.
type recordLimit struct {
	r    io.Reader
	left int
}

func (l *recordLimit) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRecordTooLong
	}
	n, err := l.r.Read(b)
	l.left -= n
	return n, err
}
