package controlplane

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/fault"
)

// The bounds on the bodies that the server holds at one time, in bytes. Who sends them has proved nothing yet: a
// signature covers the body, and access key ids are no secret.
const (
	bodiesTotal      = 64 << 20
	bodiesFromSource = 8 << 20
)

// boundBodies lets requests with a body in as long as their bodies have room together, until they are answered. A
// newcomer pushes out whose body has been on its way longest (see shares), and is refused if all have arrived.
func boundBodies(next http.Handler) http.Handler {
	held := newShares(bodiesTotal, bodiesFromSource)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		weight := awsapi.MaxBody // no more of it is read
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
		bounded := *r // the server looks at the body of its own request to see how much of it was left unread
		bounded.Body = body
		next.ServeHTTP(w, &bounded)
	})
}

// boundBody is a request's body that cannot be pushed out once it has been read.
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
