package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
)

func TestFilesAreUpToDate(t *testing.T) {
	files, err := outputs()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		kept, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(kept, want) {
			t.Errorf("%s is not what the code says (%v): make docs", name, err)
		}
	}
}

// decoded is the document as another program reads it.
func decoded(t *testing.T) map[string]any {
	t.Helper()
	text, err := fs.ReadFile(schemas.Files, "v1/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows names into a document; what is missing fails the test.
func at(t *testing.T, doc any, names ...string) any {
	t.Helper()
	for i, name := range names {
		object, ok := doc.(map[string]any)
		if doc, ok = object[name], ok && object[name] != nil; !ok {
			t.Fatalf("there is no %s", strings.Join(names[:i+1], " "))
		}
	}
	return doc
}

func names(t *testing.T, object any) []string {
	t.Helper()
	m, ok := object.(map[string]any)
	if !ok {
		t.Fatalf("%T is no object", object)
	}
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// follow replaces a reference within the document.
func follow(t *testing.T, doc map[string]any, object any) any {
	t.Helper()
	ref, ok := at(t, object, "$ref").(string)
	if !ok || !strings.HasPrefix(ref, "#/") {
		t.Fatalf("%v is no reference", object)
	}
	return at(t, doc, strings.Split(ref[2:], "/")...)
}

func TestReferencesLead(t *testing.T) {
	doc := decoded(t)
	count := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				ref, isRef := inner.(string)
				switch {
				case name != "$ref" || !isRef:
					walk(inner)
				case strings.HasPrefix(ref, "#/"):
					follow(t, doc, v)
					count++
				default:
					if _, err := read(strings.TrimPrefix(ref, "./")); err != nil {
						t.Errorf("%s: %v", ref, err)
					}
					count++
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(doc)
	if count < 40 {
		t.Errorf("only %d references", count)
	}
}

// Each topic of the configuration is a channel, and each login a security scheme.
func TestDocumentHasTopicsAndLogins(t *testing.T) {
	doc, cfg := decoded(t), config.Default()
	var topics []string
	for _, name := range []string{"requests", "results", "deadletters", "replays"} {
		topics = append(topics, at(t, doc, "channels", name, "address").(string))
	}
	want := reflect.ValueOf(cfg.Topics)
	if want.NumField() != len(topics) {
		t.Errorf("the configuration has %d topics, the document %q", want.NumField(), topics)
	}
	for i := range want.NumField() {
		if !slices.Contains(topics, want.Field(i).String()) {
			t.Errorf("no channel %s", want.Field(i))
		}
	}
	var known []string
	for _, s := range securities {
		at(t, doc, "components", "securitySchemes", s.Name)
		known = append(known, s.Mechanism)
	}
	mechanisms, ok := at(t, config.Schema(), "properties", "kafka", "properties", "sasl", "properties", "mechanism",
		"enum").([]string)
	if !ok || len(mechanisms) < 5 {
		t.Fatalf("mechanisms %q", mechanisms)
	}
	for _, mechanism := range mechanisms {
		if mechanism != config.SASLNone && !slices.Contains(known, mechanism) {
			t.Errorf("no scheme for %s", mechanism)
		}
	}
}

// A result has the headers that the document gives it, those of traces and correlation too.
func TestResultHeadersAreDescribed(t *testing.T) {
	service, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	request := schemas.Record{Headers: []schemas.Header{{Key: schemas.HeaderTracestate, Value: []byte("a=b")},
		{Key: schemas.HeaderTraceparent, Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}}}
	for _, name := range service.Config.Results.EchoHeaders {
		request.Headers = append(request.Headers, schemas.Header{Key: name, Value: []byte{0, 1}})
	}
	result := schemas.Result{ContractID: 1, Trace: schemas.ReadTrace(&request)}
	result.Echo, _ = schemas.Echo(&request, service.Config.Results.EchoHeaders)
	var written, described []string
	for _, h := range result.Message(nil).Headers {
		written = append(written, h.Key)
	}
	for _, m := range service.Messages {
		if m.Name == "result" {
			for _, h := range service.allHeaders(m) {
				described = append(described, h.Name)
			}
		}
	}
	slices.Sort(written)
	slices.Sort(described)
	if !slices.Equal(written, described) || len(written) < 10 {
		t.Errorf("balanceq writes %q, the document has %q", written, described)
	}
}

// Each example is as the schemas of its message say, headers and all; AsyncAPI's own parser does not look.
func TestExamplesAreValid(t *testing.T) {
	doc, checked := decoded(t), 0
	messages := at(t, doc, "components", "messages")
	for _, name := range names(t, messages) {
		m, ok := at(t, messages, name).(map[string]any)
		if !ok {
			t.Fatalf("%s is no object", name)
		}
		examples, _ := m["examples"].([]any)
		for _, part := range []string{"payload", "headers"} {
			var compiled []*jsonschema.Schema
			if own, there := m[part]; there {
				compiled = append(compiled, compile(t, own))
			}
			if traits, _ := m["traits"].([]any); part == "headers" {
				for _, trait := range traits {
					compiled = append(compiled, compile(t, at(t, follow(t, doc, trait), part)))
				}
			}
			for _, e := range examples {
				value, there := e.(map[string]any)[part]
				if !there {
					continue
				}
				if len(compiled) == 0 {
					t.Errorf("%s: an example has %s, which nothing describes", name, part)
				}
				for _, schema := range compiled {
					checked++
					if err := schema.Validate(jsonValue(t, value)); err != nil {
						t.Errorf("%s: %v: %v", name, at(t, e, "name"), err)
					}
				}
			}
			for _, schema := range compiled {
				if schema.Validate(true) == nil {
					t.Errorf("%s: its %s may be anything", name, part)
				}
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d checks", checked)
	}
}

// compile takes a schema of the document, which may refer to files beside it.
func compile(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	if format, there := schema.(map[string]any)["schemaFormat"]; there {
		if format != draft {
			t.Errorf("schemaFormat %v", format)
		}
		schema = at(t, schema, "schema")
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, file := range []string{requestSchema, resultSchema, deadLetterSchema} {
		text, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("file:///v1/"+file, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AddResource("file:///v1/part", jsonValue(t, schema)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("file:///v1/part")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func jsonValue(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
