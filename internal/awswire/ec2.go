package awswire

import (
	"net/http"
)

const (
	ec2Version   = "2016-11-15"
	ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
)

// EC2 returns the ec2 protocol in its version 2016-11-15.
func EC2() Codec {
	c := newCodec()
	c.ec2 = true
	return ec2{form: form{version: ec2Version, codec: c}, xml: xmlWriter{item: "item", out: c.out}}
}

type ec2 struct {
	form
	xml xmlWriter
}

func (c ec2) Encode(operation, requestID string, out any) (Response, error) {
	d := newDocument()
	d.openIn(operation+"Response", ec2Namespace)
	d.leaf("requestId", requestID)
	members, err := c.xml.members(d, out)
	if err != nil {
		return Response{}, err
	}
	if members == 0 { // as AWS answers CreateTags, among others
		d.leaf("return", "true")
	}
	d.close(operation + "Response")
	return d.response(http.StatusOK, requestID), nil
}

func (ec2) EncodeError(requestID string, e Error) Response {
	d := newDocument()
	d.open("Response")
	d.open("Errors")
	d.open("Error")
	d.leaf("Code", e.Code)
	d.leaf("Message", e.Message)
	d.close("Error")
	d.close("Errors")
	d.leaf("RequestID", requestID)
	d.close("Response")
	return d.response(e.Status, requestID)
}
