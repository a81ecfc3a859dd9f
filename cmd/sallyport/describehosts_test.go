package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
)

// A proxy's 502 in place of the control plane's answer was mistaken for a server that knows no host keys, and ssh then
// trusted whichever key it was shown.
func TestOnlyAnotherServerHasNoHostKeys(t *testing.T) {
	const page = "<html>something went wrong</html>"
	for _, test := range []struct {
		status  int
		body    string
		another bool
	}{
		{http.StatusNotFound, page, true},
		{http.StatusBadRequest, "<Response><Errors/></Response>", true},
		{http.StatusBadRequest, `{"__type":"UnknownOperationException"}`, true},
		{http.StatusBadGateway, page, false},
		{http.StatusBadGateway, `{"message":"Bad Gateway"}`, false},
		{http.StatusGatewayTimeout, "", false},
		{http.StatusOK, page, false},
		{http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"no"}`, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			w.Write([]byte(test.body))
		}))
		_, err := describeHost(t.Context(), aws.Config{
			Region: "r-1", BaseEndpoint: aws.String(server.URL),
			Credentials: credentials.NewStaticCredentialsProvider("AKIAX", "s", ""),
		}, "i-0aaa")
		server.Close()
		if (err == nil) != test.another || errors.Is(err, sallyport.ErrNoExtension) {
			t.Errorf("%d %s: %v", test.status, test.body, err)
		}
	}
}
