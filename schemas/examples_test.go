package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// A third-party validator reads the schema files, so that they are held against something else than our own decoder.
type schema struct{ *jsonschema.Schema }

func compileSchema(t *testing.T, name string) schema {
	t.Helper()
	file, err := Files.Open("v1/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:"+name, doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("urn:" + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema{compiled}
}

func (s schema) validate(text []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	return s.Validate(doc)
}

// examples returns the .json files of one folder of golden examples, by name without suffix.
func examples(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	names, err := fs.Glob(Files, "v1/examples/"+folder+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no examples in %s (%v)", folder, err)
	}
	files := make(map[string][]byte)
	for _, name := range names {
		if files[strings.TrimSuffix(path.Base(name), ".json")], err = Files.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestRequestExamples(t *testing.T) {
	schema := compileSchema(t, "balance-request")
	for name, text := range examples(t, "requests") {
		t.Run(name, func(t *testing.T) {
			if err := schema.validate(text); err != nil {
				t.Error(err)
			}
			r, err := DecodeRequest(record(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.validate(r.AppendJSON(nil)); err != nil {
				t.Errorf("written again: %v", err)
			}
		})
	}
}

// beyondSchema are the rules that JSON Schema cannot express, or that the validator's JSON reader repairs.
var beyondSchema = map[string]bool{
	"deadline-zero": true, "duplicate-contract-id": true, "duplicate-unknown": true, "lone-surrogate": true,
	"exponent-contract-id": true, // to a schema, 7e4 is the integer 70000
}

func TestInvalidRequestExamples(t *testing.T) {
	schema := compileSchema(t, "balance-request")
	for name, text := range examples(t, "requests-invalid") {
		t.Run(name, func(t *testing.T) {
			if err := schema.validate(text); (err == nil) != beyondSchema[name] {
				t.Errorf("the schema says: %v", err)
			}
			want, err := Files.ReadFile("v1/examples/requests-invalid/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			_, err = DecodeRequest(record(string(text)))
			wantRequestError(t, err, strings.TrimSuffix(string(want), "\n"))
		})
	}
}

func TestCloudEventsExamples(t *testing.T) {
	for name, text := range examples(t, "cloudevents") {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(record(string(text), HeaderContentType, "application/cloudevents+json"))
			want := Request{ID: "5f0c1d52-0f5b-4d77-a1f4-1c2d4a9e3b10", ContractID: 70001,
				BalanceCodes: []string{"AVAILABLE", "BLOCKED"}}
			got.Trace = Trace{} // one of them has it
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// The examples are what AppendJSON writes, but for white space.
func TestResultExamples(t *testing.T) {
	schema := compileSchema(t, "balance-result")
	for name, text := range examples(t, "results") {
		t.Run(name, func(t *testing.T) {
			if err := schema.validate(text); err != nil {
				t.Error(err)
			}
			r, err := DecodeResult(text)
			if err != nil {
				t.Fatal(err)
			}
			want := jsontext.Value(bytes.Clone(text))
			if err := want.Compact(); err != nil {
				t.Fatal(err)
			}
			if got := r.AppendJSON(nil); !bytes.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// A schema that allows everything would pass the tests above.
func TestResultSchemaRefuses(t *testing.T) {
	schema := compileSchema(t, "balance-result")
	complete := string(examples(t, "results")["complete"])
	for _, change := range [][2]string{
		{`"contractId": "70001"`, `"contractId": 70001`},
		{`"balanceValue": "9811.31"`, `"balanceValue": 9811.31`},
		{`"balanceValue": "9811.31"`, `"balanceValue": "9.81131e3"`},
		{`"balanceId": "89516416", `, ``},
		{`"outcome": "complete"`, `"outcome": "failed"`},
		{`"outcome": "complete"`, `"outcome": "complete", "reason": "expired"`},
		{`58.250Z`, `58.250+01:00`},
		{`"missingBalanceCodes": [],`, ``},
		{`"contractId": "70001",`, ``},
		{`"offset": 4711`, `"offset": -1`},
	} {
		text := strings.Replace(complete, change[0], change[1], 1)
		if text == complete {
			t.Errorf("%s is not in the example", change[0])
		}
		if schema.validate([]byte(text)) == nil {
			t.Errorf("the schema allows %s", change[1])
		}
	}
}

// On requests of random members, right and wrong, the decoder and the schema agree. Left out are the few rules that
// JSON Schema cannot express.
func TestRequestAgreesWithSchema(t *testing.T) {
	schema := compileSchema(t, "balance-request")
	word := rapid.OneOf(
		rapid.StringN(0, 34, -1),
		rapid.SampledFrom([]string{"AVAILABLE", "", "A,B", "A\u0085", "\x7f", "é", strings.Repeat("é", 32),
			strings.Repeat("é", 33)}),
	)
	id := rapid.OneOf(
		rapid.StringMatching(`[0-9]{0,20}`).AsAny(),
		rapid.StringMatching(`[+-]?[0-9]{1,3}([.][0-9])?`).AsAny(),
		rapid.Custom(func(t *rapid.T) json.Number {
			return json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,20}`).Draw(t, "n"))
		}).AsAny(),
		rapid.SampledFrom([]any{0, -1, nil, true, []any{1}, map[string]any{"a": 1}, int64(MaxContractID),
			int64(MaxContractID + 1)}),
	)
	codes := rapid.OneOf(
		rapid.SliceOfN(word, 0, 100).AsAny(),
		rapid.SliceOfN(rapid.StringMatching(`[A-Z_]{1,32}`), 1, 4).AsAny(),
		rapid.SampledFrom([]any{nil, "A", 7, []any{"A", nil}, []any{[]any{"A"}}, map[string]any{}}),
	)
	requestID := rapid.OneOf(rapid.StringN(0, 256, 256).AsAny(), word.AsAny(),
		rapid.SampledFrom([]any{nil, 7, false, []any{}}))
	deadline := rapid.OneOf(
		rapid.StringMatching(
			`20[0-9]{2}-(0[1-9]|1[0-4])-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-5][0-9]([.,][0-9]{1,9})?(Z|[+-][0-3][0-9]:[0-6][0-9]|)`).AsAny(),
		rapid.SampledFrom([]any{nil, "", "soon", 1769860800, "2026-01-31", "2026-01-31 12:00:00Z", "2026-01-31T1:00:00Z"}),
	)
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		doc := map[string]any{"extra": rapid.SampledFrom([]any{nil, 1.5, "x", []any{map[string]any{}}}).Draw(t, "extra")}
		member := func(name string, value *rapid.Generator[any], tenths int) {
			if rapid.IntRange(1, 10).Draw(t, "with "+name) <= tenths {
				doc[name] = value.Draw(t, name)
			}
		}
		member("contractId", id, 9)
		member("balanceCodes", codes, 9)
		member("requestId", requestID, 3)
		member("deadline", deadline, 3)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		_, decodeErr := DecodeRequest(record(string(text)))
		schemaErr := schema.validate(text)
		if (decodeErr == nil) != (schemaErr == nil) {
			t.Fatalf("%s\ndecoder: %v\nschema: %v", text, decodeErr, schemaErr)
		}
		if decodeErr == nil {
			valid++
		}
	})
	if valid == 0 && !testing.Short() { // -short leaves rapid 20 draws
		t.Error("no valid request was drawn")
	}
}
