// Package tlsclient holds the TLS settings that every output which connects over TLS shares, and makes a fresh
// crypto/tls configuration of them for every connection.
//
// The files are read anew each time: a renewed certificate or a rotated CA is in use from the next connection on,
// without a reload. A file that can't be read at that moment fails that one connection attempt, never the output.
// Certificates near their end are reported by Settings.Check (at start and by "check") and by Expiry (in the status,
// for as long as it lasts), so that somebody can act before they bite.
//
// Who the peer is gets decided by one of three rules:
//
//	ca_file or the system's roots   the chain must lead there, and the name must match (RFC 5425 section 5.2)
//	peer_fingerprints               the peer's own certificate must be one of those listed (RFC 5425 section 4.2.2);
//	                                chain and name are checked only if ca_file is set too
//	tls_skip_verify                 anybody; encryption without authentication, warned of everywhere
//
// Names are matched against the certificate's subject alternative names only; a certificate that carries its name in
// the common name alone is refused by crypto/tls with an error that says so. Session resumption and early data are not
// used, so that every connection checks the peer.
package tlsclient
