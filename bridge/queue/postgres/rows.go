package postgres

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// eventRows are the rows of accepted events, a column a slice.
type eventRows struct {
	seqs                         []uint64
	totals, sizes, received      []int64
	envelopes, bodies            [][]byte
	endpoints, bridges           []string
	digests, deliveries, signals [][]byte
	sent, seenAt                 []int64
	heard                        map[string]int64
}

func (rows *eventRows) add(r *request, total int64, now time.Time) {
	e := r.event
	rows.seqs, rows.totals, rows.sizes = append(rows.seqs, e.Seq), append(rows.totals, total), append(rows.sizes, sizeOf(e))
	rows.received = append(rows.received, nanos(e.ReceivedAt))
	rows.envelopes, rows.bodies = append(rows.envelopes, envelopeOf(e)), append(rows.bodies, bytesOf(e.Body))
	rows.endpoints, rows.bridges = append(rows.endpoints, e.Endpoint), append(rows.bridges, e.ReceivedBy)
	rows.digests = append(rows.digests, r.digest[:])
	rows.deliveries, rows.signals = append(rows.deliveries, []byte(e.DeliveryID)), append(rows.signals, []byte(e.SignalID()))
	sent, _ := e.SentAt()
	rows.sent = append(rows.sent, nanos(sent))
	at := e.ReceivedAt
	if at.IsZero() || r.resent {
		at = now
	}
	rows.seenAt = append(rows.seenAt, nanos(at))
	if !e.Synthetic && !r.resent {
		if rows.heard == nil {
			rows.heard = map[string]int64{}
		}
		rows.heard[e.Endpoint] = max(rows.heard[e.Endpoint], nanos(e.ReceivedAt))
	}
}

// bytesOf is b, or nothing instead of NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (rows *eventRows) queue(db *database, b *pgx.Batch) {
	b.Queue(db.sql(`INSERT INTO SCHEMA.event (seq, total, size, received_at, envelope, body)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[])`),
		rows.seqs, rows.totals, rows.sizes, rows.received, rows.envelopes, rows.bodies)
	b.Queue(db.sql(`INSERT INTO SCHEMA.seen (seq, endpoint, digest, delivery_id, signal_id, sent_at, received_at, received_by)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[], $8::text[])`),
		rows.seqs, rows.endpoints, rows.digests, rows.deliveries, rows.signals, rows.sent, rows.seenAt, rows.bridges)
	endpoints := make([]string, 0, len(rows.heard))
	for endpoint := range rows.heard {
		endpoints = append(endpoints, endpoint)
	}
	slices.Sort(endpoints)
	for _, endpoint := range endpoints {
		b.Queue(db.sql(`INSERT INTO SCHEMA.heard VALUES ($1, $2) ON CONFLICT (endpoint) DO UPDATE SET at = excluded.at`), endpoint, rows.heard[endpoint])
	}
}

// letterColumns are the columns of a quarantined item, as letterRow has them.
func letterColumns() []string {
	return []string{"id", "output", "seq", "reason", "at", "received_at", "endpoint", "digest", "delivery_id", "signal_id", "size", "envelope", "body"}
}

func letterRow(item *queue.DeadLetter, digest queue.Digest) []any {
	e := &item.Event
	return []any{
		int64(item.ID), item.Output, int64(e.Seq), []byte(item.Reason), nanos(item.At), nanos(e.ReceivedAt), e.Endpoint, digest[:], []byte(e.DeliveryID), //nolint:gosec // counted up
		[]byte(e.SignalID()), sizeOf(e), envelopeOf(e), bytesOf(e.Body),
	}
}

// queueItem adds the INSERT of one quarantined item to a batch of statements.
func queueItem(db *database, b *pgx.Batch, item *queue.DeadLetter, digest queue.Digest) {
	b.Queue(db.sql("INSERT INTO SCHEMA.quarantine ("+strings.Join(letterColumns(), ", ")+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`), letterRow(item, digest)...)
}
