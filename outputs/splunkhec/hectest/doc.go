// Package hectest is a stand-in for Splunk's HTTP Event Collector that does what Splunk documents and what others have
// measured, including what a test can't have of a real one: every error code, late and lost acknowledgements, a
// restart, a load balancer that sends polls to the wrong node. Only tests import it.
//
// Where each behaviour comes from:
//
//	documented   Splunk, "Troubleshoot HTTP Event Collector": the codes 0 to 27 with their HTTP statuses
//	documented   Splunk, "About HTTP Event Collector Indexer Acknowledgment": ackIds count from 0 in each channel, a
//	             status is given once and then forgotten, what is not known is false
//	documented   Splunk, "Format events for HTTP Event Collector": concatenated objects, metadata keys, flat fields
//	documented   Splunk, inputs.conf.spec [http]: ackIdleCleanup and maxIdleTime, 600 s, after which ids start at 0 again
//	documented   Splunk, limits.conf.spec [http_input]: max_content_length, 413 above it
//	measured     by a third party on Splunk Enterprise 10.4.3 and Splunk Cloud 10.5: on 6, 12, 13 and 15 the events
//	             before invalid-event-number are indexed; for code 7 the number names the event after the one at fault; Cloud
//	             answers code 6 at event 0 to what is too long; deflate is answered 415; the codes of 404 and 405
package hectest
