package schemas

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write v1/cases.json")

// verdicts are what v1/cases.json says: the conformance suite, for those who write a client, or check messages.
type verdicts struct {
	Comment string `json:"$comment"`
	Cases   []verdict
}

type verdict struct {
	File   string `json:"file"`   // below v1
	Schema string `json:"schema"` // the file that describes it, below v1
	Valid  bool   `json:"valid"`
	// By is who can tell: schema (a validator that asserts formats), json (no JSON text: a strict parser), or balanceq (a
	// rule beyond both).
	By string `json:"by"`
	// Headers of the record; the verdict is on both.
	Headers map[string]string `json:"headers,omitempty"`

	Rule string `json:"rule,omitempty"` // that is broken, as balanceq words it
}

const casesFile = "v1/cases.json"

// casesComment stands in the file.
const casesComment = "Each example below v1/examples, whether it is valid, and who can tell: " +
	"schema (any validator of draft 2020-12 that asserts formats), json (a strict parser of JSON), " +
	"balanceq (a rule that neither knows). " +
	"Members of cases: file, schema, valid, by, headers (of the record, where it has some: it is a CloudEvents event, " +
	"or is meant to be one), rule (of what is not valid, as balanceq words it)."

// eventCases are the records with headers: the folder of examples, the file, and pairs of a name and a value.
var eventCases = [][]string{
	{"requests", "string-id", HeaderEventSpecVersion, "1.0", HeaderEventID, "5f0c1d52",
		HeaderContentType, "application/json"},
	{"requests", "number-id", HeaderEventSpecVersion, "1.12", HeaderEventID, "5f0c1d52"},
	{"requests", "full", HeaderEventSpecVersion, "1.0", HeaderEventID, "a%20b/€", "ce_partitionkey", "70001",
		"ce_attempt", "3", HeaderEventTraceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	{"requests", "largest-id", HeaderEventSpecVersion, "1.0", HeaderEventTime, "yesterday", "ce_My-Extension", "x"},
	{"requests", "string-id", HeaderContentType, "application/xml"},
	{"requests", "string-id", HeaderEventSpecVersion, "0.3", HeaderEventID, "5f0c1d52"},
	{"requests", "string-id", HeaderContentType, structuredMedia},
	{"requests", "string-id", HeaderContentType, "application/cloudevents"},
	{"requests-invalid", "no-contract-id", HeaderEventSpecVersion, "1.0", HeaderEventID, "5f0c1d52"},
	{"requests-invalid", "not-json", HeaderContentType, "application/json; charset=ISO-8859-1"},

	{"cloudevents", "data", HeaderContentType, structuredMedia},
	{"cloudevents", "data", HeaderContentType, "Application/CloudEvents+JSON; charset=UTF-8"},
	{"cloudevents", "data", HeaderContentType, structuredMedia, HeaderEventSpecVersion, "1.0", HeaderEventID, "another"},
	{"cloudevents", "data-base64", HeaderContentType, structuredMedia},
	{"cloudevents", "extensions", HeaderContentType, structuredMedia},
	{"cloudevents", "data"},
	{"cloudevents", "data-base64", HeaderContentType, "application/json"},
	{"cloudevents", "data", "Content-Type", structuredMedia},
	{"cloudevents", "data", HeaderContentType, "application/cloudevents+avro"},

	{"cloudevents-invalid", "batch", HeaderContentType, "application/cloudevents-batch+json"},
	{"cloudevents-invalid", "batch", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-and-base64", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-base64-broken", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-base64-xml", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-missing", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-null", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-text", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "data-xml", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "id-number", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "specversion-03", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "specversion-missing", HeaderContentType, structuredMedia},
	{"cloudevents-invalid", "xml", HeaderEventSpecVersion, "1.0", HeaderContentType, "application/xml"},
}

// verdictOn is balanceq's own on a request, and who else can tell.
func verdictOn(s schema, file string, text []byte, headers ...string) verdict {
	v := verdict{File: "examples/" + file + ".json", Schema: schemaNames[0] + ".schema.json", By: "schema"}
	for pair := range slices.Chunk(headers, 2) {
		if v.Headers == nil {
			v.Headers = map[string]string{}
		}
		v.Headers[pair[0]] = pair[1]
	}
	_, err := DecodeRequest(record(string(text), headers...))
	if v.Valid = err == nil; err != nil {
		v.Rule = err.Error()
	}
	switch isEvent := strings.HasPrefix(file, "cloudevents"); {
	case !json.Valid(text):
		v.By = "json"
	case isEvent || (s.validate(text) == nil) != v.Valid: // a whole event is none of the schema's
		v.By = "balanceq"
	}
	return v
}

// The conformance suite has every example, and its verdicts are balanceq's own.
func TestCases(t *testing.T) {
	var all verdicts
	all.Comment = casesComment
	request := compileSchema(t, schemaNames[0])
	for _, folder := range []string{"requests", "requests-invalid"} {
		for example, text := range examples(t, folder) {
			v := verdictOn(request, folder+"/"+example, text)
			if v.Valid != (folder == "requests") {
				t.Errorf("%s: valid is %t: %s", v.File, v.Valid, v.Rule)
			}
			all.Cases = append(all.Cases, v)
		}
	}
	for _, c := range eventCases {
		all.Cases = append(all.Cases, verdictOn(request, c[0]+"/"+c[1], examples(t, c[0])[c[1]], c[2:]...))
	}
	for folder, name := range map[string]string{"results": schemaNames[1], "deadletter-headers": schemaNames[2]} {
		s := compileSchema(t, name)
		for example, text := range examples(t, folder) {
			if err := s.validate(text); err != nil {
				t.Errorf("%s: %v", example, err)
			}
			all.Cases = append(all.Cases, verdict{File: "examples/" + folder + "/" + example + ".json",
				Schema: name + ".schema.json", By: "schema", Valid: true})
		}
	}
	slices.SortStableFunc(all.Cases, func(a, b verdict) int { return strings.Compare(a.File, b.File) })
	text, err := encodeCases(all)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(casesFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if kept, err := Files.ReadFile(casesFile); err != nil || !bytes.Equal(kept, text) {
		t.Errorf("%s is not as the examples are (%v): go test ./schemas -run TestCases -update", casesFile, err)
	}
	by := map[string]int{}
	for _, v := range all.Cases {
		by[v.By]++
	}
	if by["schema"] < 30 || by["json"] == 0 || by["balanceq"] == 0 {
		t.Errorf("cases %v", by)
	}
	files, err := fs.Glob(Files, "v1/examples/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(all.Cases, func(v verdict) bool { return "v1/"+v.File == file }) {
			t.Errorf("%s is no case", file)
		}
	}
}

func encodeCases(all verdicts) ([]byte, error) {
	var b bytes.Buffer
	comment, err := json.Marshal(all.Comment)
	if err != nil {
		return nil, err
	}
	b.WriteString("{\n  \"$comment\": " + string(comment) + ",\n  \"cases\": [")
	for i, v := range all.Cases {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n    " + strings.TrimSpace(line.String()))
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes(), nil
}
