package main

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/segmentio/kafka-go"
)

// attributes are headers with this before their names (Kafka protocol binding, section 3.2.3).
const prefix = "ce_"

var versions = spec.WithPrefix(prefix)

// record is a kafka.Message that the SDK reads and writes as events. The SDK's own modules for Kafka are made for Sarama
// and librdkafka; all that they do is this.
type record struct{ *kafka.Message }

func (r record) header(name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// ReadEncoding tells the mode: the content type decides.
func (r record) ReadEncoding() binding.Encoding {
	switch {
	case format.IsFormat(r.header("content-type")):
		return binding.EncodingStructured
	case versions.Version(r.header(prefix+"specversion")) != nil:
		return binding.EncodingBinary
	}
	return binding.EncodingUnknown
}

// ReadStructured reads the event that the value is.
func (r record) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	if r.ReadEncoding() != binding.EncodingStructured {
		return binding.ErrNotStructured
	}
	return w.SetStructuredEvent(ctx, format.Lookup(r.header("content-type")), bytes.NewReader(r.Value))
}

// ReadBinary reads the event of which the value is the data.
func (r record) ReadBinary(ctx context.Context, w binding.BinaryWriter) error {
	if r.ReadEncoding() != binding.EncodingBinary {
		return binding.ErrNotBinary
	}
	version := versions.Version(r.header(prefix + "specversion"))
	if err := w.Start(ctx); err != nil {
		return err
	}
	for _, h := range r.Headers {
		var err error
		if h.Key == "content-type" {
			err = w.SetAttribute(version.AttributeFromKind(spec.DataContentType), string(h.Value))
		} else if attribute := version.Attribute(h.Key); attribute != nil {
			err = w.SetAttribute(attribute, string(h.Value))
		} else if name, is := strings.CutPrefix(h.Key, prefix); is {
			err = w.SetExtension(name, string(h.Value))
		}
		if err != nil {
			return err
		}
	}
	if err := w.SetData(bytes.NewReader(r.Value)); err != nil {
		return err
	}
	return w.End(ctx)
}

// GetAttribute returns one attribute of an event in binary mode.
func (r record) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	attribute := versions.Version(r.header(prefix + "specversion")).AttributeFromKind(kind)
	return attribute, r.header(attribute.PrefixedName())
}

// GetExtension returns one extension of an event in binary mode.
func (r record) GetExtension(name string) any { return r.header(prefix + name) }

// Finish has nothing to do.
func (r record) Finish(error) error { return nil }

func (r record) add(name string, value any) error {
	text, err := types.Format(value)
	r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(text)})
	return err
}

// SetStructuredEvent writes the whole event.
func (r record) SetStructuredEvent(_ context.Context, f format.Format, text io.Reader) (err error) {
	if r.Value, err = io.ReadAll(text); err != nil {
		return err
	}
	return r.add("content-type", f.MediaType())
}

// Start has nothing to do.
func (r record) Start(context.Context) error { return nil }

// SetAttribute writes one attribute in binary mode.
func (r record) SetAttribute(attribute spec.Attribute, value any) error {
	if attribute.Kind() == spec.DataContentType {
		return r.add("content-type", value)
	}
	return r.add(prefix+attribute.Name(), value)
}

// SetExtension writes one extension in binary mode.
func (r record) SetExtension(name string, value any) error { return r.add(prefix+name, value) }

// SetData writes the data in binary mode.
func (r record) SetData(data io.Reader) (err error) {
	r.Value, err = io.ReadAll(data)
	return err
}

// End has nothing to do.
func (r record) End(context.Context) error { return nil }
