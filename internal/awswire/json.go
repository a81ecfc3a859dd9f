package awswire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
)

// JSON returns the JSON 1.1 protocol of a service. targetPrefix begins its X-Amz-Target
// ("AWSEC2InstanceConnectService"). messageMember holds the text of an error ("message"; "Message" for EC2 Instance
// Connect). Only what follows the last dot of the prefix counts: for CloudTrail, some clients send
// "CloudTrail_20131101", and others put "com.amazonaws.cloudtrail.v20131101." before it.
func JSON(targetPrefix, messageMember string) Codec {
	target := targetPrefix[strings.LastIndexByte(targetPrefix, '.')+1:]
	return jsonCodec{target: target, message: messageMember, codec: newCodec()}
}

type jsonCodec struct {
	target  string // the prefix after its last dot
	message string
	codec
}

func (c jsonCodec) Parse(r *http.Request, body []byte) (*Request, error) {
	targets := r.Header.Values("X-Amz-Target")
	prefix, name := "", ""
	if len(targets) == 1 {
		dot := strings.LastIndexByte(targets[0], '.')
		prefix, name = targets[0][:max(dot, 0)], targets[0][dot+1:]
	}
	if prefix != c.target && !strings.HasSuffix(prefix, "."+c.target) {
		return nil, fault.New(fault.Invalid, fault.Operation, "The header X-Amz-Target must be %s.OPERATION.", c.target)
	}
	operation, err := operationName([]string{name}, "The header X-Amz-Target names no operation.")
	if err != nil {
		return nil, err
	}
	return &Request{Operation: operation, json: body}, nil
}

// Decode reads an empty body as {}, since some clients send one.
func (c jsonCodec) Decode(request *Request, in any) ([]string, error) {
	v, shape, err := c.in.ofPointer(in)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(request.json)) == 0 {
		return nil, nil
	}
	if !utf8.Valid(request.json) {
		return nil, fault.New(fault.Invalid, fault.Request, "The body is not valid UTF-8.")
	}
	d := jsonReader{tokens: json.NewDecoder(bytes.NewReader(request.json)), operation: request.Operation}
	d.tokens.UseNumber()
	set, err := d.document(v, shape)
	if err == nil {
		return shape.setNames(set), nil
	}
	var broken *json.SyntaxError
	if errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fault.Wrap(err, fault.Invalid, fault.Request, "The body is not valid JSON.")
	}
	return nil, err
}

func (c jsonCodec) Encode(_, requestID string, out any) (Response, error) {
	v, shape, err := c.out.ofPointer(out)
	if err != nil {
		return Response{}, err
	}
	return Response{
		Status: http.StatusOK,
		Header: header("application/x-amz-json-1.1", requestID),
		Body:   appendJSON(make([]byte, 0, 256), v, shape),
	}, nil
}

func (c jsonCodec) EncodeError(requestID string, e Error) Response {
	body := appendString([]byte(`{"__type":`), e.Code)
	body = appendString(append(body, ','), c.message)
	body = append(appendString(append(body, ':'), e.Message), '}')
	h := header("application/x-amz-json-1.1", requestID)
	h["X-Amzn-Errortype"] = []string{e.Code}
	return Response{Status: e.Status, Header: h, Body: body}
}
