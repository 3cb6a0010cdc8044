// What is said of an upstream connection that could not be made, in Envoy's words: dashboards and people look
// for them.
internal import Base
internal import Glibc

struct ConnectTexts: BitwiseCopyable {
    /// The answer's body.
    var answer: ByteView
    /// RESPONSE_CODE_DETAILS, without blanks.
    var details: ByteView
    /// UPSTREAM_TRANSPORT_FAILURE_REASON, without blanks.
    var logged: ByteView = .empty
}

extension Worker {
    /// By the system's code; of TLS what the last failure wrote.
    func connectTexts(_ code: Int32) -> ConnectTexts {
        switch code {
        case 0: ConnectTexts(answer: .empty, details: .empty)
        case Self.tlsFailed:
            ConnectTexts(
                answer: transportFailure.answer, details: transportFailure.details,
                logged: transportFailure.logged)
        case ETIMEDOUT:
            ConnectTexts(
                answer: """
                    upstream connect error or disconnect/reset before headers. reset reason: connection \
                    timeout
                    """,
                details: "upstream_reset_before_response_started{connection_timeout}")
        case ECONNREFUSED:
            ConnectTexts(
                answer: """
                    upstream connect error or disconnect/reset before headers. reset reason: remote \
                    connection failure, transport failure reason: delayed connect error: Connection refused
                    """,
                details: """
                    upstream_reset_before_response_started{remote_connection_failure|\
                    delayed_connect_error:_Connection_refused}
                    """,
                logged: "delayed_connect_error:_Connection_refused")
        case EHOSTUNREACH, ENETUNREACH:
            ConnectTexts(
                answer: """
                    upstream connect error or disconnect/reset before headers. reset reason: remote \
                    connection failure, transport failure reason: immediate connect error: No route to host
                    """,
                details: """
                    upstream_reset_before_response_started{remote_connection_failure|\
                    immediate_connect_error:_No_route_to_host}
                    """,
                logged: "immediate_connect_error:_No_route_to_host")
        default:
            ConnectTexts(
                answer: """
                    upstream connect error or disconnect/reset before headers. reset reason: remote \
                    connection failure
                    """,
                details: "upstream_reset_before_response_started{remote_connection_failure}")
        }
    }
}
