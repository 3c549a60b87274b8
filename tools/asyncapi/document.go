package main

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

const (
	asyncapiVersion = "3.1.0"
	bindingVersion  = "0.5.0" // of the Kafka bindings
	draft           = "application/schema+json;version=draft-2020-12"
	contractVersion = "1.0.0" // v1, docs/contracts.md#evolution
)

// document returns the AsyncAPI document, with the schemas by reference and the examples within.
func (s service) document() ([]byte, error) {
	messages, err := s.messageNodes()
	if err != nil {
		return nil, err
	}
	doc := object("asyncapi", asyncapiVersion,
		"id", "urn:balanceq:v1",
		"info", object("title", "balanceq", "version", contractVersion,
			"description", "Balance requests in, balances out.\n\n"+s.Perspective+"\n\n"+limitsText()+
				" All of it is v1, and only grows: ignore members and headers that you do not know.",
			"license", object("name", "Apache-2.0", "url", "https://www.apache.org/licenses/LICENSE-2.0")),
		"defaultContentType", "application/json",
		"servers", object("kafka", s.serverNode()),
		"channels", s.channelNodes(),
		"operations", s.operationNodes(),
		"components", object("messages", messages, "messageTraits", s.traitNodes(), "securitySchemes", securityNodes()))
	var b bytes.Buffer
	b.WriteString("# Written by make docs from the constants of the code, the schemas beside it and their examples.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("encoding the document: %w", err)
	}
	return b.Bytes(), nil
}

func (s service) serverNode() *yaml.Node {
	var refs []*yaml.Node
	for _, security := range s.Securities {
		refs = append(refs, reference("#/components/securitySchemes/"+security.Name))
	}
	return object("host", "broker.example.com:9092", "protocol", "kafka-secure",
		"description", "Your cluster: the address is an example, and of the logins it offers one or more. "+
			"Without TLS the protocol is kafka.",
		"security", list(refs))
}

func (s service) channelNodes() *yaml.Node {
	all := object()
	for _, c := range s.Channels {
		messages := object()
		for _, name := range c.Messages {
			add(messages, name, reference("#/components/messages/"+name))
		}
		address := text(c.Topic)
		binding := object("topic", c.Topic)
		if c.Topic == "" {
			address, binding = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, object()
		}
		if c.Partitions > 0 {
			add(binding, "partitions", c.Partitions)
		}
		topic := object("cleanup.policy", list([]*yaml.Node{text("delete")}))
		if c.KeepsAll {
			add(topic, "retention.ms", -1)
		}
		add(binding, "topicConfiguration", topic)
		add(binding, "bindingVersion", bindingVersion)
		add(all, c.Name, object("address", address, "title", c.Title, "description",
			fmt.Sprintf("%s Written by: %s. Read by: %s. Key: %s.", c.About, c.WrittenBy, c.ReadBy, c.Key),
			"messages", messages, "bindings", object("kafka", binding)))
	}
	return all
}

func (s service) operationNodes() *yaml.Node {
	all := object()
	for _, o := range s.Operations {
		n := object("action", o.Action, "channel", reference("#/channels/"+o.Channel), "title", o.Title,
			"description", o.About, "messages", inChannel(o.Channel, o.Messages))
		kafka := object()
		if o.Action == "receive" && o.Channel == "requests" {
			add(kafka, "groupId", object("type", "string", "default", s.Config.Kafka.Group))
		}
		add(kafka, "clientId", object("type", "string", "default", s.Config.Kafka.ClientID))
		add(kafka, "bindingVersion", bindingVersion)
		add(n, "bindings", object("kafka", kafka))
		if o.Reply != "" {
			reply := object()
			if o.ReplyHeader != "" {
				add(reply, "address", object("location", "$message.header#/"+o.ReplyHeader))
			}
			add(reply, "channel", reference("#/channels/"+o.Reply))
			add(reply, "messages", inChannel(o.Reply, []string{"result"}))
			add(n, "reply", reply)
		}
		add(all, o.Name, n)
	}
	return all
}

func inChannel(channel string, messages []string) *yaml.Node {
	var refs []*yaml.Node
	for _, name := range messages {
		refs = append(refs, reference("#/channels/"+channel+"/messages/"+name))
	}
	return list(refs)
}

func (s service) messageNodes() (*yaml.Node, error) {
	all := object()
	for _, m := range s.Messages {
		n := object("title", m.Title, "summary", m.About)
		if m.ContentType != "" {
			add(n, "contentType", m.ContentType)
		}
		switch {
		case m.HeaderSchema != "":
			add(n, "headers", multiFormat(reference("./"+m.HeaderSchema)))
		case len(m.Headers) > 0:
			add(n, "headers", headersNode(m.Headers))
		}
		if m.Payload != "" {
			add(n, "payload", multiFormat(m.payloadNode()))
		}
		if m.Correlation != "" {
			add(n, "correlationId", object("location", m.Correlation))
		}
		add(n, "bindings", object("kafka", object("key", object("type", "string", "description", s.key(m.Name)),
			"bindingVersion", bindingVersion)))
		var refs []*yaml.Node
		for _, name := range m.Traits {
			refs = append(refs, reference("#/components/messageTraits/"+name))
		}
		if refs != nil {
			add(n, "traits", list(refs))
		}
		examples, err := m.exampleNodes()
		if err != nil {
			return nil, err
		}
		if examples != nil {
			add(n, "examples", list(examples))
		}
		add(all, m.Name, n)
	}
	return all, nil
}

func (m message) payloadNode() *yaml.Node {
	data := reference("./" + m.Payload)
	if !m.Envelope {
		return data
	}
	name := func(pairs ...any) *yaml.Node {
		return object(append([]any{"type", "string", "minLength", 1}, pairs...)...)
	}
	return object("type", "object",
		"required", list([]*yaml.Node{text("specversion"), text("id"), text("source"), text("type")}),
		"properties", object("specversion", object("type", "string", "pattern", `^1\.[0-9]+$`), "id", name(),
			"source", name(), "type", name(), "datacontenttype", name(), "data", data,
			"data_base64", name("contentEncoding", "base64", "description", "The same as data, in Base64.")))
}

func (m message) exampleNodes() ([]*yaml.Node, error) {
	var all []*yaml.Node
	for _, e := range m.Examples {
		body, err := quoted(e.File)
		if err != nil {
			return nil, err
		}
		n := object("name", e.Name)
		switch {
		case m.HeaderSchema != "":
			add(n, "headers", body)
		default:
			if len(e.Headers) > 0 {
				add(n, "headers", stringMap(e.Headers))
			}
			add(n, "payload", body)
		}
		all = append(all, n)
	}
	return all, nil
}

func (s service) traitNodes() *yaml.Node {
	all := object()
	for _, t := range s.Traits {
		add(all, t.Name, object("summary", t.About, "headers", headersNode(t.Headers)))
	}
	return all
}

func headersNode(headers []header) *yaml.Node {
	var required []*yaml.Node
	properties := object()
	for _, h := range headers {
		n := object("type", "string")
		if h.Binary {
			add(n, "format", "binary")
		}
		if h.Const != "" {
			add(n, "const", h.Const)
		}
		if h.MaxBytes > 0 {
			add(n, "maxLength", h.MaxBytes)
		}
		add(n, "description", h.About)
		add(properties, h.Name, n)
		if h.Required {
			required = append(required, text(h.Name))
		}
	}
	n := object("type", "object")
	if required != nil {
		add(n, "required", list(required))
	}
	add(n, "properties", properties)
	return n
}

func securityNodes() *yaml.Node {
	all := object()
	for _, s := range securities {
		n := object("type", s.Type, "description", s.About)
		if s.Type == "oauth2" {
			add(n, "flows", object("clientCredentials", object("tokenUrl", "https://login.example.com/oauth2/token",
				"availableScopes", object())))
		}
		add(all, s.Name, n)
	}
	return all
}

func multiFormat(schema *yaml.Node) *yaml.Node {
	return object("schemaFormat", draft, "schema", schema)
}
