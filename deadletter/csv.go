package deadletter

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/balanceq/balanceq/internal/printable"
)

// CSVColumns are the names of the columns of CSVRow.
var CSVColumns = []string{
	"partition", "offset", "time", "outcome", "reason", "detail", "request_id", "contract_id", "http_status",
	"cms_reason_code",
	"attempts", "first_failure", "last_failure", "correlation_id", "cms_correlation_id", "replay_count",
	"source_topic", "source_partition", "source_offset", "group", "instance", "version",
	"key", "key_encoding", "value", "value_encoding", "headers",
}

// The encodings of a key or value in CSV.
const (
	encodingText   = "text"
	encodingBase64 = "base64" // RFC 4648 §4
	encodingNull   = "null"
)

// CSVRow returns a record of the dead-letter topic as a row for encoding/csv. Key, value and headers are whole: the
// headers are the JSON array of a Document, and key and value are text where encoding/csv reads back what it wrote and
// no program takes it for more than text, base64 otherwise. All other columns are as in a Document; where one could be
// a formula, an apostrophe stands in front of it.
func CSVRow(l *Letter) ([]string, error) {
	d := NewDocument(l)
	headers, err := encode(d.Headers)
	if err != nil {
		return nil, err
	}
	if formula.Match(headers) { // behind a semicolon, which JSON has in strings only
		headers = bytes.ReplaceAll(headers, []byte(";"), []byte(`\u003b`))
	}
	var sourceTopic, sourcePartition, sourceOffset string
	if d.Source != nil {
		sourceTopic = d.Source.Topic
		sourcePartition, sourceOffset = strconv.Itoa(int(d.Source.Partition)), strconv.FormatInt(d.Source.Offset, 10)
	}
	key, keyEncoding := csvBytes(l.Key)
	value, valueEncoding := csvBytes(l.Value)
	return []string{
		strconv.Itoa(int(l.Partition)), strconv.FormatInt(l.Offset, 10), csvText(d.Time), d.Outcome,
		csvText(d.Reason), csvText(d.Detail), csvText(d.RequestID), csvNumber(d.ContractID), csvNumber(int64(d.HTTPStatus)),
		csvText(d.CMSReasonCode), strconv.Itoa(d.Attempts), d.FirstFailure, d.LastFailure,
		csvText(d.CorrelationID), csvText(d.CMSCorrelationID), strconv.Itoa(d.ReplayCount),
		csvText(sourceTopic), sourcePartition, sourceOffset, csvText(d.Group), csvText(d.Instance), csvText(d.Version),
		key, keyEncoding, value, valueEncoding, string(headers),
	}, nil
}

// formula is how a formula begins for a spreadsheet, as OWASP lists it (CSV Injection): at the beginning of a cell, or
// behind what begins one where the semicolon separates fields, as it does for programs in many European languages.
var formula = regexp.MustCompile(`(^|[;\n])([ "']*[=+\-@\t\r\n＝＋－＠])`)

func csvBytes(b []byte) (cell, encoding string) {
	switch {
	case b == nil:
		return "", encodingNull
	case !utf8.Valid(b), bytes.ContainsFunc(b, func(r rune) bool { return r != '\n' && !printable.Rune(r) }),
		formula.Match(b):
		return base64.StdEncoding.EncodeToString(b), encodingBase64
	}
	return string(b), encodingText
}

// csvText makes text that is only read, not taken back, fit for a cell.
func csvText(s string) string {
	return formula.ReplaceAllString(printable.Text(s), "$1'$2")
}

// csvNumber leaves out what is absent.
func csvNumber(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
