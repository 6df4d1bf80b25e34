/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_TEXTS_H
#define DEX_FCGI_UI_TEXTS_H

#include "core/base/json.h"

/*
 * Every word of the upload page. To translate it, translate this file: pages name these texts as
 * {{t.name}}, scripts get theirs with the page. A {word} in braces is filled in by the script.
 */

/* Of the pages. */
#define TEXTS_OF_PAGES(T)                                                                          \
	T(lang, "en")                                                                              \
	T(product, "DEX Upload")                                                                   \
	T(skip, "Skip to main content")                                                            \
	T(nav, "Main")                                                                             \
	T(nav_new, "New upload")                                                                   \
	T(nav_uploads, "Your uploads")                                                             \
	T(footer, "Uploads that survive bad lines: the tus protocol, version 1.0.0.")              \
	T(optional, "optional")                                                                    \
	T(next, "Next")                                                                            \
	T(landing_title, "Welcome")                                                                \
	T(landing_h1, "Welcome to DEX Upload")                                                     \
	T(landing_intro,                                                                           \
		"Send a file of any size, over any line. If the connection breaks or you "         \
		"close the computer, you go on where it stopped.")                                 \
	T(landing_form, "Which data stream is your file for?")                                     \
	T(stream, "Data Stream")                                                                   \
	T(stream_help, "Who the file is for. Begin to type, or choose from the list.")             \
	T(route, "Data Stream Route")                                                              \
	T(route_help, "The kind of file within the stream, such as csv.")                          \
	T(several, "I have several files that need the same details")                              \
	T(several_help, "You fill in the details once and send the files side by side.")           \
	T(uploads_h2, "Your uploads")                                                              \
	T(uploads_intro, "What this browser has sent. The list is kept on this computer only.")    \
	T(uploads_none, "Nothing yet.")                                                            \
	T(manifest_title_error, "Error: file details")                                             \
	T(manifest_title, "File details")                                                          \
	T(manifest_h1, "Tell us about your file")                                                  \
	T(manifest_h1_several, "Tell us about your files")                                         \
	T(manifest_for, "Data stream")                                                             \
	T(manifest_for_route, "route")                                                             \
	T(manifest_other, "Choose another stream")                                                 \
	T(manifest_required, "All fields are required unless they are marked as optional.")        \
	T(manifest_choose, "Choose one")                                                           \
	T(manifest_take_name, "Take the name from a file")                                         \
	T(manifest_name_help, "You choose the file itself on the next page.")                      \
	T(manifest_each_name, "Each file's own name is sent.")                                     \
	T(errors_title, "Please correct these details")                                            \
	T(error_missing, "This detail is needed.")                                                 \
	T(error_value, "This value is not one of those that can be chosen.")                       \
	T(error_name, "A file's name can't be a path, nor hold / or \\, nor be longer than 255 "   \
		      "bytes.")                                                                    \
	T(error_long, "The details are too long. Together they may take about 5,000 characters.")  \
	T(unknown_title, "Unknown data stream")                                                    \
	T(unknown_h1, "There is no such data stream")                                              \
	T(unknown_text, "Perhaps there is a slip in the stream or its route. The check said:")     \
	T(back, "Back to the start")                                                               \
	T(csrf_text, "The form was too old, or your browser does not keep cookies for this page. " \
		     "What you typed is still there: press the button once more.")                 \
	T(csrf_h1, "This form can't be accepted")                                                  \
	T(csrf_plain, "It did not come from a page of this service.")                              \
	T(form_title, "The form can't be read")                                                    \
	T(form_text, "What arrived is not a form of this service.")                                \
	T(not_found_title, "Page not found")                                                       \
	T(not_found_text, "There is nothing at this address.")                                     \
	T(method_text, "This page can't be asked for in that way.")                                \
	T(failed_title, "That did not work")                                                       \
	T(failed_text, "The service is not able to do this at the moment. Please try again in a "  \
		       "minute.")                                                                  \
	T(status_title, "Upload")                                                                  \
	T(uploader_h1, "File Uploader")                                                            \
	T(need_script, "To send a file from this page, your browser has to run its script. "       \
		       "JavaScript seems to be off, or the script could not be loaded. Any tus "   \
		       "client can send the file as well; it goes on at this address:")            \
	T(file, "File:")                                                                           \
	T(drop, "Drop your file here")                                                             \
	T(drop_or, "or")                                                                           \
	T(browse, "Browse Files")                                                                  \
	T(file_input, "File to send")                                                              \
	T(files_input, "Files to send")                                                            \
	T(advanced, "Advanced settings")                                                           \
	T(chunk_size, "Chunk Size (bytes)")                                                        \
	T(chunk_help, "Bytes in one request. Smaller is safer behind a proxy that limits "         \
		      "requests.")                                                                 \
	T(parallel, "Parallel Upload Requests")                                                    \
	T(parallel_help, "More than one sends parts of the file side by side, and gives the "      \
			 "upload another ID.")                                                     \
	T(progress, "Progress of the upload")                                                      \
	T(pause, "Pause")                                                                          \
	T(resume, "Resume")                                                                        \
	T(retry_now, "Try again now")                                                              \
	T(token_h2, "An access token is needed")                                                   \
	T(token_text, "The service wants to know who you are. Paste the access token that you "    \
		      "were given; it is forgotten when you close this tab.")                      \
	T(token_script, "The service wants to know who you are. The page asks for your access "    \
			"token where its script can run; JavaScript seems to be off.")             \
	T(token_label, "Access token")                                                             \
	T(token_use, "Use this token")                                                             \
	T(token_instead, "Use an access token instead")                                            \
	T(logged_in_as, "Logged in as")                                                            \
	T(log_in, "Log in")                                                                        \
	T(log_out, "Log out")                                                                      \
	T(login_h2, "Please log in")                                                               \
	T(login_text, "The service wants to know who you are. Log in in a new tab: this page "     \
		      "waits, loses nothing, and goes on by itself.")                              \
	T(login_first, "The service wants to know who you are. Log in with the link at the top "   \
		       "of this page, then fill in the form again.")                               \
	T(login_new_tab, "Log in in a new tab")                                                    \
	T(login_failed, "You are not logged in")                                                   \
	T(login_cancelled, "The login was cancelled.")                                             \
	T(login_lost, "This login was not begun in this browser, was used already, or took "       \
		      "longer than ten minutes. Cookies have to be allowed for this page.")        \
	T(login_refused, "The login service did not let you in.")                                  \
	T(login_no_right, "The login service knows you, but you have no right to upload files "    \
			  "here. Ask those who run the service for it.")                           \
	T(login_not_accepted, "The login service knows you, but what it says of you is not "       \
			      "accepted here. Tell those who run the service.")                    \
	T(login_later, "The login does not work at the moment. Please try again in a minute.")     \
	T(login_why, "It said:")                                                                   \
	T(login_again, "Try again")                                                                \
	T(logged_in_title, "You are logged in")                                                    \
	T(logged_in_text, "You can close this tab. The page that asked you to log in goes on.")    \
	T(logged_out_title, "You are logged out")                                                  \
	T(logged_out_text, "This browser can no longer send or see your files. The login "         \
			   "service may still know you.")                                          \
	T(end_session, "Log out of the login service, too")                                        \
	T(upload_status, "Upload Status")                                                          \
	T(delivery_status, "Delivery Status")                                                      \
	T(delivery_before, "The file is delivered as soon as all of it has arrived.")              \
	T(details, "Upload Details")                                                               \
	T(upload_id, "Upload ID")                                                                  \
	T(file_size, "File Size")                                                                  \
	T(sender_id, "Sender ID")                                                                  \
	T(producer_id, "Producer ID")                                                              \
	T(stream_id, "Stream ID")                                                                  \
	T(stream_route, "Stream Route")                                                            \
	T(jurisdiction, "Jurisdiction")                                                            \
	T(size_unknown, "Not known yet")                                                           \
	T(bytes, "bytes")                                                                          \
	T(many_h2, "Choose your files")                                                            \
	T(many_drop, "Drop your files here")                                                       \
	T(many_need_script, "Several files at once need the script of this page. JavaScript "      \
			    "seems to be off, or the script could not be loaded.")                 \
	T(many_one, "Send them one at a time")                                                     \
	T(many_list, "Files")                                                                      \
	TEXTS_OF_BOTH(T)

/* Of pages and scripts. */
#define TEXTS_OF_BOTH(T)                                                                        \
	T(status_initiated, "Initiated")                                                        \
	T(status_in_progress, "In Progress")                                                    \
	T(status_complete, "Complete")                                                          \
	T(delivered, "Delivered")                                                               \
	T(delivery_failed, "Failed")                                                            \
	T(delivery_waiting, "Waiting for the delivery to begin.")                               \
	T(delivery_nowhere, "Files of this data stream are delivered nowhere: none of the "     \
			    "service's targets is set up for it. The file itself has arrived.") \
	T(location, "Location")                                                                 \
	T(delivered_at, "Delivered at")                                                         \
	T(issues, "Issues")

/* Of scripts. */
#define TEXTS_OF_SCRIPTS(T)                                                                        \
	T(choose_again, "Choose {name} again to go on: {percent} % of it has arrived.")            \
	T(choose_again_unnamed, "Choose the file again to go on: {size} of it has arrived.")       \
	T(other_size, "{name} is another file: it has {size}, but the one that was begun here "    \
		      "has {expected}. Choose that one to go on, or start a new upload.")          \
	T(other_content, "{name} is another file: it is as large as the one that was begun here, " \
			 "but holds other data. Choose that one to go on, or start a new upload.") \
	T(other_name, "This file is called {name}, but you gave the name {expected}. It is sent "  \
		      "under the name that you gave.")                                             \
	T(one_file, "Only one file can be sent here. To send several, start a new upload.")        \
	T(other_tab, "This upload is open in another tab or window. Go on there, or close it "     \
		     "first.")                                                                     \
	T(folder, "That is no file that can be read. Folders can't be sent.")                      \
	T(too_large, "{name} has {size}. The service takes files up to {max}.")                    \
	T(preparing, "Getting ready")                                                              \
	T(uploading, "Uploading")                                                                  \
	T(paused, "Paused")                                                                        \
	T(finishing, "Finishing")                                                                  \
	T(done, "Complete")                                                                        \
	T(queued, "Waiting for its turn")                                                          \
	T(offline, "No connection. It goes on by itself as soon as there is one.")                 \
	T(retrying, "The connection broke. It goes on by itself.")                                 \
	T(busy, "The service is busy. It goes on by itself.")                                      \
	T(gone, "This upload is no longer there: it was not finished in time, or was removed. "    \
		"Please start a new one.")                                                         \
	T(refused, "The service refused the file: {reason}")                                       \
	T(unreadable, "The file can't be read any more. It may have been changed, moved or "       \
		      "deleted. Choose it again to go on.")                                        \
	T(needs_token, "Waiting for an access token")                                              \
	T(needs_login, "Waiting for you to log in")                                                \
	T(token_bad, "This token was not accepted.")                                               \
	T(figures, "{percent} % · {sent} of {size}")                                               \
	T(figures_next, "{percent} % · {sent} of {size} · next try in {seconds} s")                \
	T(figures_rate, "{percent} % · {sent} of {size} · {rate}/s · {left}")                      \
	T(left_seconds, "{n} s left")                                                              \
	T(left_minutes, "{n} min left")                                                            \
	T(left_hours, "{h} h {m} min left")                                                        \
	T(size_unknown, "Not known yet")                                                           \
	T(size_so_far, "{size} so far")                                                            \
	T(bytes_n, "{n} bytes")                                                                    \
	T(info_failed, "The state can't be asked for at the moment. It is tried again.")           \
	T(list_unfinished, "Not finished")                                                         \
	T(list_sent, "Sent")                                                                       \
	T(list_failed, "Delivery failed")                                                          \
	T(list_gone, "No longer there")                                                            \
	T(list_go_on, "Go on with {name}")                                                         \
	T(list_open, "Open {name}")                                                                \
	T(list_remove, "Remove {name} from this list")                                             \
	T(remove, "Remove")                                                                        \
	T(many_start, "Send {n} files")                                                            \
	T(many_start_one, "Send 1 file")                                                           \
	T(many_invalid, "Please fill in the details above first.")                                 \
	T(many_summary, "{done} of {n} files are complete.")                                       \
	T(many_refused, "The details were refused: {reason}")                                      \
	T(show_status, "Details of {name}")                                                        \
	T(pause_name, "Pause {name}")                                                              \
	T(resume_name, "Resume {name}")                                                            \
	T(progress_name, "Progress of {name}")                                                     \
	T(pause, "Pause")                                                                          \
	T(resume, "Resume")                                                                        \
	TEXTS_OF_BOTH(T)

/* The text of that name for a page, or NULL. */
const char *texts_get(const char *name);
/* The texts of scripts as one JSON object; the caller decrefs. */
json_t *texts_of_scripts(void);

#endif
