package controlplane

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/fault"
)

// The bounds on the bodies that are being received at one time, in bytes. Who sends them has proved nothing yet: a
// signature covers the body, and access key ids are no secret.
const (
	bodiesTotal      = 64 << 20
	bodiesFromSource = 8 << 20
)

// boundBodies lets requests with a body in as long as their bodies have room together. A newcomer pushes out whose body
// has been on its way longest: see shares.
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
			body.pushedOut.Store(true)
			_ = connection.SetReadDeadline(time.Unix(1, 0)) // ends a Read that waits
		})
		defer body.place.leave()
		bounded := *r // the server looks at the body of its own request to see how much of it was left unread
		bounded.Body = body
		next.ServeHTTP(w, &bounded)
	})
}

// boundBody is a request's body that gives its place back once it has been read.
type boundBody struct {
	io.ReadCloser
	place     *place
	pushedOut atomic.Bool
}

// Read implements io.Reader. The error of a body that was pushed out is a Throttled fault.
func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF && b.pushedOut.Load():
		err = fault.New(fault.Throttled, "request",
			"The server is receiving too many requests at once, and this one took longest. Send it again.")
	}
	b.place.leave()
	return n, err
}
