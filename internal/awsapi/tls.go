package awsapi

import (
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/trail"
)

// tlsDetails returns the TLS details of the request, or nil if it came without TLS.
func tlsDetails(r *http.Request) *trail.TLSDetails {
	if r.TLS == nil {
		return nil
	}
	version := strings.Replace(tls.VersionName(r.TLS.Version), "TLS ", "TLSv", 1)
	return &trail.TLSDetails{Version: version, CipherSuite: cipherSuite(r.TLS.CipherSuite), Host: r.Host}
}

// cipherSuite returns OpenSSL's name of a cipher suite. TLS 1.3's are the same as Go's, and TLS 1.2's are shorter.
func cipherSuite(id uint16) string {
	name := tls.CipherSuiteName(id)
	exchange, cipher, older := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !older {
		return name
	}
	cipher = strings.ReplaceAll(cipher, "AES_", "AES")
	cipher = strings.ReplaceAll(cipher, "POLY1305_SHA256", "POLY1305")
	return strings.ReplaceAll(exchange+"-"+cipher, "_", "-")
}
