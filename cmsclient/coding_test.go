package cmsclient

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// pack codes a text.
func pack(t testing.TB, text string, writer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := writer(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func zlibbed(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

func deflated(w io.Writer) io.WriteCloser {
	f, err := flate.NewWriter(w, flate.BestSpeed)
	if err != nil {
		panic(err)
	}
	return f
}

// Every form that an answer may come in although identity was asked for: it is read, or named, and no 404 in it halts.
func TestCodings(t *testing.T) {
	const utf16 = "\xff\xfe{\x00}\x00"
	bomb := pack(t, `{"contractBalances":[`+strings.Repeat(" ", 10<<20)+`]}`, gzipped)
	tests := map[string]struct {
		status int
		coding string
		body   string
		class  Class
		text   string
	}{
		"identity":                  {200, "identity", goodBody, "", ""},
		"gzip":                      {200, "gzip", pack(t, goodBody, gzipped), "", ""},
		"GZIP, identity":            {200, " GZIP , identity", pack(t, goodBody, gzipped), "", ""},
		"x-gzip":                    {200, "x-gzip", pack(t, goodBody, gzipped), "", ""},
		"deflate":                   {200, "deflate", pack(t, goodBody, zlibbed), "", ""},
		"deflate without zlib":      {200, "deflate", pack(t, goodBody, deflated), "", ""},
		"byte order mark":           {200, "", byteOrderMark + goodBody, "", ""},
		"gzip of a byte order mark": {200, "gzip", pack(t, byteOrderMark+goodBody, gzipped), "", ""},
		"br":                        {200, "br", "\x8b\x02\x80{}\x03", Undecodable, "Content-Encoding: br"},
		"gzip twice": {200, "gzip, gzip", pack(t, pack(t, goodBody, gzipped), gzipped), Undecodable,
			"gzip, gzip"},
		"gzip that is none": {200, "gzip", goodBody, Undecodable, "says Content-Encoding: gzip and is not"},
		"gzip cut short":    {200, "gzip", pack(t, goodBody, gzipped)[:30], Undecodable, "unexpected EOF"},
		"gzip with a bad checksum": {200, "gzip", strings.TrimSuffix(pack(t, goodBody, gzipped), "\x00\x00\x00") +
			"\x01\x00\x00", Undecodable, "gzip"},
		"a bomb": {200, "gzip", bomb, Undecodable, "larger than an answer may be"},
		"UTF-16": {200, "", utf16, Undecodable, "UTF-16"},
		"404 gzip": {404, "gzip", pack(t, notFoundBody, gzipped), ContractNotFound,
			"CONTRACT_DOES_NOT_EXIST"},
		"404 deflate":            {404, "deflate", pack(t, notFoundBody, zlibbed), ContractNotFound, ""},
		"404 byte order mark":    {404, "", byteOrderMark + notFoundBody, ContractNotFound, ""},
		"404 br":                 {404, "br", "\x8b\x02\x80{}\x03", Undecodable, "br"},
		"404 UTF-16":             {404, "", utf16, Undecodable, "UTF-16"},
		"404 that is no gzip":    {404, "gzip", notFoundBody, Undecodable, "gzip"},
		"404 of a gateway, gzip": {404, "gzip", pack(t, "<html>no route</html>", gzipped), Halting, ""},
		"400 gzip": {400, "gzip", pack(t, errorBody(processing, "REQUEST_VALIDATION"), gzipped),
			Rejected, ""},
		"400 br":                        {400, "br", "\x8b\x02\x80{}\x03", Undecodable, "br"},
		"401 br":                        {401, "br", "\x8b\x02\x80{}\x03", Halting, "status 401"},
		"503 br":                        {503, "br", "\x8b\x02\x80{}\x03", Transient, "status 503"},
		"429 gzip":                      {429, "gzip", "not gzip", Throttled, ""},
		"empty, and coded all the same": {204, "gzip", "", Undecodable, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig("http://cms.test")
			cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if got := r.Header.Values("Accept-Encoding"); len(got) != 1 || got[0] != "identity" {
					t.Errorf("Accept-Encoding: %v", got)
				}
				resp := reply(test.status, test.body)
				if test.coding != "" {
					resp.Header.Set("Content-Encoding", test.coding)
				}
				return resp, nil
			})
			answer, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
			if got := classOf(err); got != test.class || (err == nil) != (test.class == "") {
				t.Fatalf("class %q, %v; want %q", got, err, test.class)
			}
			if err == nil && len(answer.Balances) != 1 {
				t.Errorf("%+v", answer)
			}
			if e, ok := errors.AsType[*Error](err); ok && (!strings.Contains(e.Error(), test.text) || e.Status != test.status) {
				t.Errorf("%q does not say %q", e, test.text)
			}
		})
	}
}

// Whatever comes as whatever coding: what is kept is within the limit.
func FuzzCodings(f *testing.F) {
	for _, coding := range []string{"gzip", "deflate", "br", "", "gzip, deflate"} {
		f.Add(coding, []byte(goodBody))
		f.Add(coding, []byte(pack(f, goodBody, gzipped)))
		f.Add(coding, []byte(pack(f, byteOrderMark+goodBody, zlibbed)))
		f.Add(coding, []byte(pack(f, strings.Repeat(" ", 100_000), deflated)))
	}
	f.Fuzz(func(t *testing.T, coding string, text []byte) {
		const limit = 10_000
		b := newBody()
		if err := b.read(bytes.NewReader(text), limit); err != nil {
			return
		}
		err := b.plain(http.Header{"Content-Encoding": {coding}}, limit)
		if err == nil && b.buffer.Len() > limit {
			t.Errorf("%d bytes", b.buffer.Len())
		}
		if err == nil && codingOf(http.Header{"Content-Encoding": {coding}}) == "" &&
			len(text)-b.buffer.Len() > len(byteOrderMark) {
			t.Errorf("of %d bytes %d are left", len(text), b.buffer.Len())
		}
	})
}
