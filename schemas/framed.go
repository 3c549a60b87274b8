package schemas

import (
	"encoding/binary"
	"strconv"
)

// frameSize is what a schema registry's serializers put before a value: a zero byte and the id of its schema, 4 bytes,
// big-endian (Confluent's wire format, which Apicurio's serializers write as well).
const frameSize = 5

// SchemaID returns the id of a schema registry that a value is framed with. No JSON text begins with a zero byte, so
// none is taken for a framed one.
func SchemaID(value []byte) (id uint32, framed bool) {
	if len(value) <= frameSize || value[0] != 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
}

// Unframe returns what stands behind a registry's frame: the value itself where there is none. No registry is asked
// what the id stands for.
func Unframe(value []byte) (text []byte) {
	if _, framed := SchemaID(value); framed {
		return value[frameSize:]
	}
	return value
}

// appendFrame appends the frame of a schema that a registry knows by this id; 0: none.
func appendFrame(dst []byte, id uint32) []byte {
	if id == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(append(dst, 0), id)
}

// headerSchemaID is where serializers in header mode put what names the schema, 0x01 and a GUID. Nothing is before the
// value then, be it JSON or Avro.
const headerSchemaID = "__value_schema_id"

// RefuseFrame is the error of a request that a registry has something against: what comes behind "is framed as schema
// id 7".
func RefuseFrame(id uint32, problem string) *RequestError {
	return &RequestError{Field: "value", Problem: framedAs(id) + problem}
}

func framedAs(id uint32) string {
	return "is framed as schema id " + strconv.FormatUint(uint64(id), 10)
}

// blameFrame says in a problem of the whole value how that was framed: it is most likely Avro or Protobuf.
func (r *requestReader) blameFrame(id uint32) {
	if r.err == nil || r.err.Field != "value" {
		return
	}
	r.err.Problem = framedAs(id) + "; send JSON behind that: it " + r.err.Problem
}

// blameHeader says of a value that cannot be read that a registry's serializer wrote it in header mode.
func (r *requestReader) blameHeader(rec *Record) {
	if _, has := rec.Header(headerSchemaID); has && r.err.Field == "value" {
		r.err.Problem += " (its header " + headerSchemaID + " is a schema registry's; send JSON, not Avro or Protobuf)"
	}
}
