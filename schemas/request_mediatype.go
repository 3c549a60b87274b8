package schemas

import (
	"mime"
	"strings"
)

// mediaType is the type of a content type: in small letters, and without parameters.
func mediaType(contentType []byte) string {
	media, _, _ := strings.Cut(string(contentType), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// isJSON says whether a content type is one of JSON in UTF-8, or none at all.
func isJSON(contentType []byte) bool {
	if len(contentType) == 0 {
		return true
	}
	media, parameters, err := mime.ParseMediaType(string(contentType))
	if err != nil || !strings.HasSuffix(media, "/json") && !strings.HasSuffix(media, "+json") {
		return false
	}
	switch strings.ToLower(parameters["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
		return true
	}
	return false
}

// blameType adds to the refusal of one of the fields what its content type says it is, where that is not JSON: the
// publisher sends something else by intent. A content type alone is no reason to refuse what can be read.
func (r *requestReader) blameType(name string, contentType []byte, fields ...string) {
	if r.err == nil || isJSON(contentType) {
		return
	}
	for _, field := range fields {
		if r.err.Field == field {
			r.err.Problem += " (its " + name + " is " + quote(contentType) + "; send JSON in UTF-8)"
			return
		}
	}
}

// otherCase returns the name of a header that is nearly name: header names are case-sensitive.
func (r *Record) otherCase(name string) string {
	for _, h := range r.Headers {
		if h.Key != name && strings.EqualFold(h.Key, name) {
			return h.Key
		}
	}
	return ""
}
