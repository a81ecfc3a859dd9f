package controlplane

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/fault"
)

// Bounds on the bodies of requests that the server holds at one time, in bytes. Their senders are not authenticated
// yet: a signature covers the body, and access key ids are not secret.
const (
	bodiesTotal      = 64 << 20
	bodiesFromSource = 8 << 20
)

// boundBodies admits requests with a body while the bodies of all unanswered requests are within the bounds. Beyond
// them, a new request ends the one whose body has been arriving longest (see shares), and is refused if all bodies have
// arrived.
func boundBodies(next http.Handler) http.Handler {
	held := newShares(bodiesTotal, bodiesFromSource)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		weight := awsapi.MaxBody // at most this much is read
		if r.ContentLength > 0 {
			weight = int(min(r.ContentLength, awsapi.MaxBody))
		}
		body := &boundBody{ReadCloser: r.Body}
		connection := http.NewResponseController(w)
		body.place = held.enter(sourceOf(r.RemoteAddr), weight, func() {
			body.refused.Store(true)
			_ = connection.SetReadDeadline(time.Unix(1, 0)) // ends a Read that waits
		})
		if body.place == nil {
			body.refused.Store(true)
		} else {
			defer body.place.leave()
		}
		bounded := *r // net/http checks its own request's body for an unread rest
		bounded.Body = body
		next.ServeHTTP(w, &bounded)
	})
}

// boundBody is a request's body that keeps its place once it has been read.
type boundBody struct {
	io.ReadCloser
	place   *place
	refused atomic.Bool
}

// Read implements io.Reader. The error of a body without a place is a Throttled fault.
func (b *boundBody) Read(p []byte) (int, error) {
	if !b.refused.Load() {
		n, err := b.ReadCloser.Read(p)
		if err == io.EOF {
			b.place.keep()
		}
		if err == nil || err == io.EOF || !b.refused.Load() {
			return n, err
		}
	}
	return 0, fault.New(fault.Throttled, fault.Request,
		"The server is receiving too many requests at once, and this one has no room. Send it again.")
}
