package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// dedupeIndex answers Judge for one transaction: what the look-ups have found, and what the transaction has accepted itself.
type dedupeIndex struct {
	batch       []*request
	bodies      map[bodyKey]queue.Remembered
	same        map[signalKey]queue.Remembered
	newest      map[deliveryKey]queue.Remembered
	items       map[bodyKey]bool
	evictedUpTo map[string]int64
	raised      map[string]int64 // what the transaction has raised of it
}

type bodyKey struct {
	endpoint string
	digest   queue.Digest
}

type deliveryKey struct{ endpoint, delivery string }

type signalKey struct{ endpoint, delivery, signal string }

func newMemory(batch []*request) *dedupeIndex {
	return &dedupeIndex{
		batch: batch, bodies: map[bodyKey]queue.Remembered{}, same: map[signalKey]queue.Remembered{}, newest: map[deliveryKey]queue.Remembered{},
		items: map[bodyKey]bool{}, evictedUpTo: map[string]int64{}, raised: map[string]int64{},
	}
}

// queue adds the look-ups to a batch of statements. Each finds the delivery that was received last.
func (m *dedupeIndex) queue(db *database, b *pgx.Batch) {
	if len(m.batch) == 0 {
		return
	}
	var endpoints, named []string
	var digests, deliveries, signals [][]byte
	for _, r := range m.batch {
		endpoints, digests = append(endpoints, r.event.Endpoint), append(digests, r.digest[:])
		if r.event.DeliveryID != "" {
			named, deliveries, signals = append(named, r.event.Endpoint), append(deliveries, []byte(r.event.DeliveryID)), append(signals, []byte(r.event.SignalID()))
		}
	}
	b.Queue(db.sql(`SELECT k.n, s.seq, s.received_at FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS k (endpoint, digest, n), LATERAL
		(SELECT seq, received_at FROM SCHEMA.seen WHERE digest = k.digest AND endpoint = k.endpoint AND seq > (SELECT forgotten FROM SCHEMA.meta)
		ORDER BY received_at DESC, seq DESC LIMIT 1) s`), endpoints, digests).Query(scanFound(func(n int, found queue.Remembered) {
		r := m.batch[n]
		m.bodies[bodyKey{r.event.Endpoint, r.digest}] = found
	}))
	b.Queue(db.sql(`SELECT k.n, 0, 0 FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS k (endpoint, digest, n)
		WHERE EXISTS (SELECT FROM SCHEMA.quarantine q WHERE q.output = '' AND q.digest = k.digest AND q.endpoint = k.endpoint)`),
		endpoints, digests).Query(scanFound(func(n int, _ queue.Remembered) {
		r := m.batch[n]
		m.items[bodyKey{r.event.Endpoint, r.digest}] = true
	}))
	if len(named) == 0 {
		return
	}
	b.Queue(db.sql(`SELECT k.n, s.seq, s.received_at FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS k (endpoint, delivery, signal, n), LATERAL
		(SELECT seq, received_at FROM SCHEMA.seen WHERE delivery_id = k.delivery AND endpoint = k.endpoint AND signal_id = k.signal
		AND seq > (SELECT forgotten FROM SCHEMA.meta) ORDER BY received_at DESC, seq DESC LIMIT 1) s`), named, deliveries, signals).
		Query(scanFound(func(n int, found queue.Remembered) {
			m.same[signalKey{named[n], string(deliveries[n]), string(signals[n])}] = found
		}))
	b.Queue(db.sql(`SELECT k.n, s.seq, s.received_at FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS k (endpoint, delivery, n), LATERAL
		(SELECT seq, received_at FROM SCHEMA.seen WHERE delivery_id = k.delivery AND endpoint = k.endpoint
		AND seq > (SELECT forgotten FROM SCHEMA.meta) ORDER BY received_at DESC, seq DESC LIMIT 1) s`), named, deliveries).
		Query(scanFound(func(n int, found queue.Remembered) {
			m.newest[deliveryKey{named[n], string(deliveries[n])}] = found
		}))
}

// scanFound gives each row of (place from 1, sequence, time) to found.
func scanFound(found func(n int, r queue.Remembered)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var n int
			var seq uint64
			var at int64
			if err := rows.Scan(&n, &seq, &at); err != nil {
				return err
			}
			found(n-1, queue.Remembered{Seq: seq, ReceivedAt: timeOf(at)})
		}
		return rows.Err()
	}
}

func (m *dedupeIndex) scanEvictedUpTo(rows pgx.Rows) error {
	for rows.Next() {
		var endpoint string
		var at int64
		if err := rows.Scan(&endpoint, &at); err != nil {
			return err
		}
		m.evictedUpTo[endpoint] = at
	}
	return rows.Err()
}

// add remembers what the transaction accepts.
func (m *dedupeIndex) add(r *request, now time.Time) {
	e := r.event
	received := e.ReceivedAt
	if received.IsZero() {
		received = now
	}
	fresh := queue.Remembered{Seq: e.Seq, ReceivedAt: received}
	later(m.bodies, bodyKey{e.Endpoint, r.digest}, fresh)
	if e.DeliveryID != "" {
		later(m.same, signalKey{e.Endpoint, e.DeliveryID, e.SignalID()}, fresh)
		later(m.newest, deliveryKey{e.Endpoint, e.DeliveryID}, fresh)
	}
}

func later[K comparable](known map[K]queue.Remembered, key K, fresh queue.Remembered) {
	if !fresh.ReceivedAt.Before(known[key].ReceivedAt) {
		known[key] = fresh
	}
}

func (m *dedupeIndex) addItem(r *request) { m.items[bodyKey{r.event.Endpoint, r.digest}] = true }

// forget raises what is known to be forgotten. What was found of f stays found within this transaction.
func (m *dedupeIndex) forget(f forgotten) {
	if f.sentAt > m.evictedUpTo[f.endpoint] {
		m.evictedUpTo[f.endpoint], m.raised[f.endpoint] = f.sentAt, f.sentAt
	}
}

// Body implements queue.DedupeIndex.
func (m *dedupeIndex) Body(endpoint string, digest queue.Digest) (queue.Remembered, error) {
	return m.bodies[bodyKey{endpoint, digest}], nil
}

// Delivery implements queue.DedupeIndex.
func (m *dedupeIndex) Delivery(endpoint, deliveryID, signalID string) (same, newest queue.Remembered, err error) {
	return m.same[signalKey{endpoint, deliveryID, signalID}], m.newest[deliveryKey{endpoint, deliveryID}], nil
}

// DeadLetter implements queue.DedupeIndex.
func (m *dedupeIndex) DeadLetter(endpoint string, digest queue.Digest) (bool, error) {
	return m.items[bodyKey{endpoint, digest}], nil
}

// EvictedUpTo implements queue.DedupeIndex.
func (m *dedupeIndex) EvictedUpTo(endpoint string) time.Time { return timeOf(m.evictedUpTo[endpoint]) }
