package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Contracts of v1 only grow: docs/contracts.md says how. Each release has its messages and its schemas in v1/golden, in
// a folder of its own, and those are held against what there is now.

// says are the keywords of a schema that only tell people something.
var says = map[string]bool{"$comment": true, "$id": true, "$schema": true, "title": true, "description": true,
	"examples": true}

// breaks returns what a schema has that breaks what was promised with the one before it.
func breaks(before, now any, at string) (all []string) {
	old, is := before.(map[string]any)
	current, still := now.(map[string]any)
	if !is || !still {
		if !reflect.DeepEqual(before, now) {
			return []string{fmt.Sprintf("%s is %v, and was %v", at, now, before)}
		}
		return nil
	}
	for _, keyword := range slices.Sorted(maps.Keys(merged(old, current))) {
		was, is := old[keyword], current[keyword]
		switch here := at + "/" + keyword; {
		case says[keyword]:
		case keyword == "properties" || keyword == "$defs":
			all = append(all, brokenMembers(was, is, here)...)
		case keyword == "required":
			all = append(all, brokenRequired(was, is, here)...)
		case keyword == "enum":
			all = append(all, brokenEnum(was, is, here)...)
		case keyword == "oneOf", keyword == "anyOf", keyword == "allOf":
			olds, _ := was.([]any)
			news, _ := is.([]any)
			if len(olds) != len(news) {
				all = append(all, fmt.Sprintf("%s has %d forms, and had %d", here, len(news), len(olds)))
				continue
			}
			for i := range olds {
				all = append(all, breaks(olds[i], news[i], fmt.Sprint(here, "/", i))...)
			}
		default: // also of what was not there before, or is no longer: type, pattern, bounds, additionalProperties, if, items
			all = append(all, breaks(was, is, here)...)
		}
	}
	return all
}

func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// brokenMembers: members are added, and stay as they are.
func brokenMembers(before, now any, at string) (all []string) {
	old, _ := before.(map[string]any)
	current, _ := now.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if is, there := current[name]; there {
			all = append(all, breaks(old[name], is, at+"/"+name)...)
		} else {
			all = append(all, at+"/"+name+" is gone")
		}
	}
	return all
}

// brokenRequired: publishers need send no more than before, subscribers find what they found.
func brokenRequired(before, now any, at string) []string {
	if !reflect.DeepEqual(sortedTexts(before), sortedTexts(now)) {
		return []string{fmt.Sprintf("%s is %v, and was %v", at, sortedTexts(now), sortedTexts(before))}
	}
	return nil
}

// brokenEnum: reasons may be added, which readers take for "other, and final"; outcomes may not, as readers switch on
// them.
func brokenEnum(before, now any, at string) (all []string) {
	old, current := sortedTexts(before), sortedTexts(now)
	for _, value := range old {
		if !slices.Contains(current, value) {
			all = append(all, fmt.Sprintf("%s lacks %s", at, value))
		}
	}
	if len(current) > len(old) && !strings.Contains(at, "reason") {
		all = append(all, fmt.Sprintf("%s has more than %v: %v", at, old, current))
	}
	return all
}

func sortedTexts(list any) (texts []string) {
	values, _ := list.([]any)
	for _, v := range values {
		texts = append(texts, fmt.Sprint(v))
	}
	slices.Sort(texts)
	return texts
}

// releases are the folders of v1/golden.
func releases(t *testing.T) (names []string) {
	t.Helper()
	folders, err := fs.ReadDir(Files, "v1/golden")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no releases: %v", err)
	}
	for _, f := range folders {
		names = append(names, "v1/golden/"+f.Name())
	}
	return names
}

func readJSON(t *testing.T, name string) (doc any) {
	t.Helper()
	text, err := Files.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var schemaNames = []string{"balance-request", "balance-result", "balance-deadletter-headers"}

// The schemas of each release promise no more than those of now keep.
func TestSchemasOnlyGrow(t *testing.T) {
	for _, release := range releases(t) {
		for _, name := range schemaNames {
			before, now := readJSON(t, release+"/"+name+".schema.json"), readJSON(t, "v1/"+name+".schema.json")
			for _, broken := range breaks(before, now, name) {
				t.Errorf("since %s: %s", path.Base(release), broken)
			}
		}
	}
}

// What breaks a reader or a publisher is noticed, and what does not is let pass.
func TestBreaks(t *testing.T) {
	const requests, results, headers = "balance-request", "balance-result", "balance-deadletter-headers"
	type doc = map[string]any
	in := func(d doc, names ...string) doc {
		for _, name := range names {
			d, _ = d[name].(doc)
		}
		return d
	}
	for name, test := range map[string]struct {
		schema string
		change func(doc)
		says   string // "": it passes
	}{
		"an optional member": {results, func(d doc) { in(d, "properties")["cmsRegion"] = doc{"type": "string"} }, ""},
		"an optional member deep inside": {results, func(d doc) {
			in(d, "properties", "balances", "items", "properties")["note"] = doc{"type": "string"}
		}, ""},
		"another reason": {results, func(d doc) {
			reason := in(d, "properties", "reason")
			values, _ := reason["enum"].([]any)
			reason["enum"] = append(values, "throttled")
		}, ""},
		"another text": {requests, func(d doc) { in(d, "properties", "deadline")["description"] = "x" }, ""},
		"a member is removed": {results, func(d doc) { delete(in(d, "properties"), "cmsCorrelationId") },
			"cmsCorrelationId is gone"},
		"a member is renamed": {headers, func(d doc) {
			in(d, "properties")["balanceq-why"] = in(d, "properties")["balanceq-detail"]
			delete(in(d, "properties"), "balanceq-detail")
		}, "balanceq-detail is gone"},
		"a required one is added": {requests, func(d doc) {
			in(d, "properties")["tenant"] = doc{"type": "string"}
			d["required"] = []any{"contractId", "balanceCodes", "tenant"}
		}, "required"},
		"one that was optional is required": {requests, func(d doc) {
			d["required"] = []any{"contractId", "balanceCodes", "requestId"}
		}, "required"},
		"one is promised no more": {results, func(d doc) { d["required"] = []any{"requestId"} }, "required"},
		"a reason is removed": {results, func(d doc) { in(d, "properties", "reason")["enum"] = []any{"expired"} },
			"lacks invalid-request"},
		"another outcome": {results, func(d doc) {
			in(d, "properties", "outcome")["enum"] = []any{"complete", "partial", "failed", "late"}
		}, "has more than"},
		"another type": {results, func(d doc) { in(d, "properties", "contractId")["type"] = "integer" }, "type"},
		"fewer types":  {requests, func(d doc) { in(d, "properties", "requestId")["type"] = "string" }, "type"},
		"a form less": {requests, func(d doc) {
			id := in(d, "properties", "contractId")
			forms, _ := id["oneOf"].([]any)
			id["oneOf"] = forms[:1]
		}, "has 1 forms"},
		"a closer bound":   {requests, func(d doc) { in(d, "properties", "balanceCodes")["maxItems"] = 10.0 }, "maxItems"},
		"a bound is added": {results, func(d doc) { in(d, "properties", "requestId")["maxLength"] = 10.0 }, "maxLength"},
		"it is closed":     {requests, func(d doc) { d["additionalProperties"] = false }, "additionalProperties"},
		"a shared pattern": {headers, func(d doc) { in(d, "$defs", "text")["maxLength"] = 8.0 }, "$defs/text/maxLength"},
	} {
		before := readJSON(t, "v1/"+test.schema+".schema.json")
		now, _ := readJSON(t, "v1/"+test.schema+".schema.json").(doc)
		test.change(now)
		found := strings.Join(breaks(before, now, test.schema), "; ")
		if test.says == "" && found != "" || !strings.Contains(found, test.says) {
			t.Errorf("%s: found %q, want %q", name, found, test.says)
		}
	}
}

// Every message that was ever released is read as it was, and what results say is written in the same bytes.
func TestGoldenMessages(t *testing.T) {
	read := func(pattern string, each func(name string, text []byte)) {
		names, err := fs.Glob(Files, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no messages (%v)", pattern, err)
		}
		for _, name := range names {
			text, err := Files.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			each(name, text)
		}
	}
	request, result, headers := compileSchema(t, schemaNames[0]), compileSchema(t, schemaNames[1]), compileSchema(t,
		schemaNames[2])
	for _, release := range releases(t) {
		read(release+"/requests/*.json", func(name string, text []byte) {
			if _, err := DecodeRequest(record(string(text))); err != nil || request.validate(text) != nil {
				t.Errorf("%s: %v, %v", name, err, request.validate(text))
			}
		})
		read(release+"/results/*.json", func(name string, text []byte) {
			r, err := DecodeResult(text)
			if err != nil || result.validate(text) != nil || !bytes.Equal(r.AppendJSON(nil), text) {
				t.Errorf("%s: %v, %v, written as %s", name, err, result.validate(text), r.AppendJSON(nil))
			}
		})
		read(release+"/deadletter-headers/*.json", func(name string, text []byte) {
			var texts map[string]string
			if err := json.Unmarshal(text, &texts); err != nil || headers.validate(text) != nil {
				t.Fatalf("%s: %v, %v", name, err, headers.validate(text))
			}
			rec := &Record{}
			for header, value := range texts {
				rec.Headers = append(rec.Headers, Header{Key: header, Value: []byte(value)})
			}
			if info := ReadDeadLetter(rec); string(info.Reason) != texts[HeaderReason] || !info.HasSource {
				t.Errorf("%s: read as %+v", name, info)
			}
		})
	}
}

// The reader of the first release reads what is written today, members and reasons that it has never heard of among it.
func TestOldestReadsNewest(t *testing.T) {
	for name, text := range examples(t, "results") {
		now, err := DecodeResult(text)
		if err != nil {
			t.Fatal(err)
		}
		newer := bytes.Replace(text, []byte("{"), []byte(`{"fromTheFuture": [{"a": null}], `), 1)
		newer = bytes.Replace(newer, []byte(`"source": {`), []byte(`"source": {"cluster": "c-1", `), 1)
		for _, of := range [][]byte{text, now.AppendJSON(nil), newer} {
			if then, err := decodeOldestResult(of); err != nil || !reflect.DeepEqual(then, now) {
				t.Errorf("%s: %v, read as %+v\n%s", name, err, then, of)
			}
		}
		if now.Outcome != OutcomeFailed {
			continue
		}
		later := bytes.Replace(text, []byte(now.Reason), []byte("another-reason"), 1)
		if then, err := decodeOldestResult(later); err != nil || then.Reason != "another-reason" {
			t.Errorf("%s: another reason: %v, %+v", name, err, then)
		}
	}
}
