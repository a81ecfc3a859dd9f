package awswire

import "net/http"

// Query returns the query protocol of a service with the XML namespace ("https://iam.amazonaws.com/doc/2010-05-08/")
// and the version ("2010-05-08").
func Query(namespace, version string) Codec {
	c := newCodec()
	return query{
		form:      form{version: version, member: "member", codec: c},
		xml:       xmlWriter{item: "member", out: c.out},
		namespace: namespace,
	}
}

type query struct {
	form
	xml       xmlWriter
	namespace string
}

func (c query) Encode(operation, requestID string, out any) (Response, error) {
	d := newDocument()
	d.openIn(operation+"Response", c.namespace)
	_, shape, err := c.xml.out.ofPointer(out)
	if err != nil {
		return Response{}, err
	}
	// Clients fail if a result that the API promises is missing, even an empty one.
	if len(shape.fields) > 0 || shape.schema != nil {
		d.open(operation + "Result")
		if _, err := c.xml.members(d, out); err != nil {
			return Response{}, err
		}
		d.close(operation + "Result")
	}
	d.open("ResponseMetadata")
	d.leaf("RequestId", requestID)
	d.close("ResponseMetadata")
	d.close(operation + "Response")
	return d.response(http.StatusOK, requestID), nil
}

func (c query) EncodeError(requestID string, e Error) Response {
	blame := "Sender"
	if e.Status >= 500 {
		blame = "Receiver"
	}
	d := newDocument()
	d.openIn("ErrorResponse", c.namespace)
	d.open("Error")
	d.leaf("Type", blame)
	d.leaf("Code", e.Code)
	d.leaf("Message", e.Message)
	d.close("Error")
	d.leaf("RequestId", requestID)
	d.close("ErrorResponse")
	return d.response(e.Status, requestID)
}
