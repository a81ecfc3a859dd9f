package sallyport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// ErrNoExtension means that a server is not a Sallyport, but AWS itself or a compatible server. A server that only
// fails to answer gives another error, because a caller who goes on without our extension has no host keys to check.
var ErrNoExtension = errors.New(
	"this server has no Sallyport extension: the profile leads to AWS itself or to something else")

// maxAnswer limits an answer, in bytes.
const maxAnswer = 16 << 20

// Client is a client of the service, like the AWS SDK's clients. It does not retry. It is safe for concurrent use.
type Client struct{ config aws.Config }

// NewFromConfig returns a client that uses the configuration's region, credentials, endpoint and HTTP client.
func NewFromConfig(config aws.Config) *Client { return &Client{config: config} }

// DescribeHosts calls the operation DescribeHosts. Errors are ErrNoExtension, or smithy's errors as from the
// SDK's clients.
func (c *Client) DescribeHosts(ctx context.Context, in *DescribeHostsInput) (*DescribeHostsOutput, error) {
	out := new(DescribeHostsOutput)
	return out, c.call(ctx, "DescribeHosts", in, out)
}

// CreateHostToken calls the operation CreateHostToken. Errors are ErrNoExtension, or smithy's errors as from the
// SDK's clients.
func (c *Client) CreateHostToken(ctx context.Context, in *CreateHostTokenInput) (*CreateHostTokenOutput, error) {
	out := new(CreateHostTokenOutput)
	return out, c.call(ctx, "CreateHostToken", in, out)
}

func (c *Client) call(ctx context.Context, operation string, in, out any) error {
	request, err := c.request(ctx, operation, in)
	if err != nil {
		return err
	}
	var client aws.HTTPClient = http.DefaultClient
	if c.config.HTTPClient != nil {
		client = c.config.HTTPClient // knows the profile's ca_bundle
	}
	response, err := client.Do(request)
	if err != nil {
		return &smithy.OperationError{ServiceID: "Sallyport", OperationName: operation, Err: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", operation, err)
	}
	if response.StatusCode == http.StatusOK {
		err = json.Unmarshal(answer, out)
	} else {
		err = refusal(answer)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrNoExtension) {
		if response.StatusCode < http.StatusInternalServerError {
			return err
		}
		// The answer may come from a proxy. It says nothing about the server.
		err = fmt.Errorf("the answer is %s", response.Status)
	}
	return &smithy.OperationError{ServiceID: "Sallyport", OperationName: operation, Err: err}
}

// request returns a signed request. Without an endpoint the SDK's clients call AWS, which does not have the service.
func (c *Client) request(ctx context.Context, operation string, in any) (*http.Request, error) {
	if c.config.BaseEndpoint == nil {
		return nil, ErrNoExtension
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, *c.config.BaseEndpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", Target+"."+operation)
	request.Header.Set("User-Agent", "sallyport")
	credentials, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hash, Name, c.config.Region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return request, nil
}

// refusal reads an error of JSON 1.1. An answer in another format comes from a server that does not have the service.
func refusal(body []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Type == "" {
		return ErrNoExtension
	}
	code := e.Type[strings.LastIndex(e.Type, "#")+1:]
	if code == "UnknownOperationException" {
		return ErrNoExtension
	}
	return &smithy.GenericAPIError{Code: code, Message: e.Message}
}
