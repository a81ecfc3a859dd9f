package awsapi

import (
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/trail"
)

// tlsDetails are those of the request; nil for one without TLS.
func tlsDetails(r *http.Request) *trail.TLSDetails {
	if r.TLS == nil {
		return nil
	}
	version := strings.Replace(tls.VersionName(r.TLS.Version), "TLS ", "TLSv", 1)
	return &trail.TLSDetails{Version: version, CipherSuite: cipherSuite(r.TLS.CipherSuite), Host: r.Host}
}

// cipherSuite is a cipher suite under OpenSSL's name: TLS 1.3's are the same, TLS 1.2's are shorter than Go's.
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
