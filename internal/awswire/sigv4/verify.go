package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

// Verify checks that the signature was made with the secret over the request and its whole body. The request must be
// the one that the Claim was parsed from. Errors are Unauthenticated faults with Subject Signature. The Subject is
// Incomplete if the body was signed in chunks (aws-chunked) or not at all, since neither is supported.
func (c *Claim) Verify(secret string, r *http.Request, body []byte) error {
	if c == nil || len(c.signature) != sha256.Size || secret == "" {
		return mismatch("There is nothing to verify the request by.")
	}
	hashes, err := c.payloadHashes(r, body)
	if err != nil {
		return err
	}
	key := c.signingKey(secret)
	for _, hash := range hashes {
		request, err := c.canonicalRequest(r, hash)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(hmacSHA256(key, c.stringToSign(request)), c.signature) == 1 {
			return nil
		}
	}
	return mismatch("The signature does not match. Check the secret access key; if it is right, " +
		"something on the way has changed the request.")
}

func mismatch(format string, args ...any) error {
	return fault.New(fault.Unauthenticated, fault.Signature, format, args...)
}

// payloadHashes returns what the signer may have written for the body: the hash of the body as it arrived and, for a
// presigned GET, which has no body, also UNSIGNED-PAYLOAD.
func (c *Claim) payloadHashes(r *http.Request, body []byte) ([]string, error) {
	declared, err := single(r.Header, "X-Amz-Content-Sha256")
	if err != nil {
		return nil, err
	}
	if declared == "" && c.Presigned {
		declared = r.URL.Query().Get("X-Amz-Content-Sha256")
	}
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	bodiless := c.Presigned && r.Method == http.MethodGet && len(body) == 0
	switch {
	case declared == "" && bodiless:
		return []string{actual, unsignedPayload}, nil
	case declared == "" || declared == actual:
		return []string{actual}, nil
	case declared == unsignedPayload && bodiless:
		return []string{unsignedPayload}, nil
	case declared == unsignedPayload:
		return nil, incomplete("The body must be signed; %s is taken for presigned GET requests only.", unsignedPayload)
	case strings.HasPrefix(declared, "STREAMING-"):
		return nil, incomplete("Bodies in signed chunks (aws-chunked, %.60s) are not supported; sign the body as a whole.",
			declared)
	}
	return nil, mismatch("The body does not have the hash that the header x-amz-content-sha256 gives.")
}

func (c *Claim) scope() string { return c.Date + "/" + c.Region + "/" + c.Service + "/" + terminator }

func (c *Claim) signingKey(secret string) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), c.Date)
	for _, part := range []string{c.Region, c.Service, terminator} {
		key = hmacSHA256(key, part)
	}
	return key
}

func (c *Claim) stringToSign(canonicalRequest string) string {
	sum := sha256.Sum256([]byte(canonicalRequest))
	return algorithm + "\n" + c.Time.Format(timeFormat) + "\n" + c.scope() + "\n" + hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
