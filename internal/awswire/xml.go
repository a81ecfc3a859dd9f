package awswire

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// document is an XML response that is being written.
type document struct{ bytes.Buffer }

func newDocument() *document {
	d := &document{}
	d.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	return d
}

func (d *document) open(name string)  { d.tag("<", name, ">") }
func (d *document) close(name string) { d.tag("</", name, ">") }
func (d *document) empty(name string) { d.tag("<", name, "/>") }
func (d *document) tag(parts ...string) {
	for _, part := range parts {
		d.WriteString(part)
	}
}

// openIn opens the root element with its namespace.
func (d *document) openIn(name, namespace string) { d.tag("<", name, ` xmlns="`, namespace, `">`) }

// leaf writes an element that holds text. Characters that XML cannot hold (control characters) become U+FFFD.
func (d *document) leaf(name, text string) {
	d.open(name)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`<>&'"`, r) }) {
		_ = xml.EscapeText(d, []byte(text)) // a bytes.Buffer does not fail
	} else {
		d.WriteString(text)
	}
	d.close(name)
}

func (d *document) response(status int, requestID string) Response {
	return Response{Status: status, Header: header("text/xml;charset=UTF-8", requestID), Body: d.Bytes()}
}

// header returns the headers that every response has.
func header(contentType, requestID string) http.Header {
	h := make(http.Header, 4)
	h["Content-Type"] = []string{contentType}
	h["X-Amzn-Requestid"] = []string{requestID}
	return h
}

// xmlWriter writes values as the ec2 and query protocols do. They differ in item, the name of a list's elements.
type xmlWriter struct {
	item string
	out  *plans
}

// members writes the fields of the struct that out points to. It returns how many fields such a struct has.
func (x xmlWriter) members(d *document, out any) (int, error) {
	v, shape, err := x.out.ofPointer(out)
	if err != nil {
		return 0, err
	}
	x.fields(d, v, shape)
	return len(shape.fields), nil
}

func (x xmlWriter) fields(d *document, v reflect.Value, s *shape) {
	for _, f := range s.fields {
		if value, ok := given(v.Field(f.index)); ok {
			x.element(d, f.wire, cmp.Or(f.item, x.item), value, f.shape)
		}
	}
}

// element writes a value. item is the name of a list's elements.
func (x xmlWriter) element(d *document, name, item string, v reflect.Value, s *shape) {
	switch s.kind {
	case structure:
		d.open(name)
		x.fields(d, v, s)
		d.close(name)
	case list:
		if v.Len() == 0 {
			d.empty(name)
			return
		}
		d.open(name)
		for i := range v.Len() {
			x.element(d, item, x.item, reflect.Indirect(v.Index(i)), s.elem)
		}
		d.close(name)
	case mapping:
		d.open(name)
		for _, e := range entries(v) {
			d.open("entry")
			d.leaf("key", e.key)
			x.element(d, "value", x.item, reflect.Indirect(e.value), s.elem)
			d.close("entry")
		}
		d.close(name)
	default:
		d.leaf(name, scalarText(v, s.kind))
	}
}

// timeText returns a time as ec2 and query write it: "2026-11-22T02:02:10.000Z".
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
